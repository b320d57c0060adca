#!/bin/sh
# Builds dist/pgam_VERSION_ARCH.deb and .rpm from the programs in bin/ for this
# machine. VERSION is that of make: a tag, or what git describe says. PACKAGERS
# and OUT choose which packages, and where they go.
set -eu

cd "$(dirname "$0")/.."
: "${VERSION:=devel}"
nfpm="go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0"

# package_version turns a version into one that both dpkg and rpm sort rightly:
# v1.2.0 -> 1.2.0, v1.2.0-rc1 -> 1.2.0~rc1, v1.2.0-5-gabc -> 1.2.0+5.gabc, and
# what is no version -> 0.0.0+it, below all others.
package_version() {
	case "$1" in
	v[0-9]*.[0-9]*) version=${1#v} ;;
	[0-9]*.[0-9]*) version=$1 ;;
	*) version=0.0.0+git.$1 ;;
	esac
	echo "$version" | sed -E 's/-(alpha|beta|rc)/~\1/; s/-/+/; s/-/./g'
}

PACKAGE_VERSION=$(package_version "$VERSION")
PACKAGE_ARCH=$(go env GOARCH)
export PACKAGE_VERSION PACKAGE_ARCH

stage=dist/stage
rm -rf "$stage"
mkdir -p "$stage/bin" "$stage/man" "$stage/completion"
bin=${BIN:-bin}
cp "$bin/pgam" "$bin/pgam-collector" "$bin/pgam-api" "$stage/bin/"
scripts/stage-docs.sh "$bin/pgam" "$stage"
# As installed, whatever the umask of the clone was.
chmod 755 "$stage"/bin/*

out=${OUT:-dist}
mkdir -p "$out"
for packager in ${PACKAGERS:-deb rpm}; do
	$nfpm package --config deploy/package/nfpm.yaml --packager "$packager" --target "$out/"
done
