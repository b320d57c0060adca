package docs

// asset is a file of somebody else's, kept compressed in assets/ under its
// name and ".gz".
type asset struct {
	name   string
	source string // in node_modules
	sha256 string // of the bytes that are served
	// foreign is an address on another host that was replaced by nowhere;
	// published is the checksum with it.
	foreign, published string
}

// nowhere is an address that loads nothing, and fails.
const nowhere = "data:,"

// assets are taken from swagger-ui-dist 5.35.0 and redoc 2.5.4, whose exact
// versions and checksums are in web/docs.
func assets() []asset {
	return []asset{
		{
			name: "swagger-ui-bundle.js", source: "swagger-ui-dist/swagger-ui-bundle.js",
			sha256: "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
		},
		{
			name: "swagger-ui.css", source: "swagger-ui-dist/swagger-ui.css",
			sha256: "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
		},
		{
			name: "oauth2-redirect.js", source: "swagger-ui-dist/oauth2-redirect.js",
			sha256: "a5c8a34e09e49737382cc5019446eec7c3db3461963fc5bfe448361d3c5549e9",
		},
		{
			// Its logo would come from its maker's host. A picture that does not
			// load takes itself away; the maker's name beside it stays.
			name: "redoc.standalone.js", source: "redoc/bundles/redoc.standalone.js",
			sha256:  "e3d4361ba4ecdba1fad6ff3c627ef1e2563d78c02fbadb8e38572accac6a2acc",
			foreign: "https://cdn.redoc.ly/redoc/logo-mini.svg", published: "dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b",
		},
	}
}

// licence is a text that must go along with the assets.
type licence struct {
	name   string // in assets/
	source string // in node_modules
}

func licences() []licence {
	return []licence{
		{"swagger-ui.LICENSE.txt", "swagger-ui-dist/LICENSE"},
		{"swagger-ui.NOTICE.txt", "swagger-ui-dist/NOTICE"},
		{"swagger-ui-bundle.js.LICENSE.txt", "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt"},
		{"redoc.LICENSE.txt", "redoc/LICENSE"},
		{"redoc.standalone.js.LICENSE.txt", "redoc/bundles/redoc.standalone.js.LICENSE.txt"},
	}
}
