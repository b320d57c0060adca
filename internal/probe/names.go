package probe

// maxNames bounds what is remembered of a server's roles and databases.
const maxNames = 10_000

// names remembers what oids are called, so that catalogs are asked only for
// new ones. A renamed role or database keeps its old name for sessions until
// the connection is made anew or the inventory tells.
type names struct {
	roles, databases map[uint32]string
	// missing are the oids that the present visit met and could not name.
	missingRoles, missingDatabases []uint32
}

func newNames() names {
	return names{roles: make(map[uint32]string), databases: make(map[uint32]string)}
}

func (n *names) role(oid uint32) string {
	return lookUp(n.roles, &n.missingRoles, oid)
}

func (n *names) database(oid uint32) string {
	return lookUp(n.databases, &n.missingDatabases, oid)
}

// take gives what is missing, to be asked for.
func (n *names) take() (roles, databases []uint32) {
	roles, databases = n.missingRoles, n.missingDatabases
	n.missingRoles, n.missingDatabases = nil, nil
	return roles, databases
}

func lookUp(known map[uint32]string, missing *[]uint32, oid uint32) string {
	if oid == 0 {
		return ""
	}
	name, ok := known[oid]
	if !ok && len(*missing) < maxNames {
		*missing = append(*missing, oid)
	}
	return name
}

func learnName(known map[uint32]string, oid uint32, name string) {
	if len(known) >= maxNames {
		clear(known)
	}
	known[oid] = name
}

// pidSet maps the pids of one tick to session ids.
type pidSet map[int32]int32

// list gives the pids, as the driver wants them.
func (p pidSet) list() []uint32 {
	out := make([]uint32, 0, len(p))
	for pid := range p {
		out = append(out, uint32(pid))
	}
	return out
}
