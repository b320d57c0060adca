package secret

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

type aclEntry struct {
	tag, permissions uint16
	id               uint32
}

const (
	tagGroupObj = 0x04
	tagGroup    = 0x08
	tagOther    = 0x20
	noID        = 0xffffffff
)

func accessList(entries ...aclEntry) []byte {
	list := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, entry := range entries {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.permissions)
		list = binary.LittleEndian.AppendUint32(list, entry.id)
	}
	return list
}

// credential is the list systemd puts on a credential of the user uid, with more entries.
func credential(uid uint32, more ...aclEntry) []byte {
	entries := []aclEntry{{aclUserObj, 4, noID}, {aclUser, 4, uid}}
	entries = append(entries, more...)
	return accessList(append(entries, aclEntry{tagGroupObj, 0, noID}, aclEntry{aclMask, 4, noID}, aclEntry{tagOther, 0, noID})...)
}

func TestGrantsOnly(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		list []byte
		want bool
	}{
		"the service's user": {credential(1000), true},
		"another user":       {credential(1001), false},
		"both users":         {credential(1000, aclEntry{aclUser, 4, 1001}), false},
		"a group":            {credential(1000, aclEntry{tagGroup, 4, 5}), false},
		"a powerless group":  {credential(1000, aclEntry{tagGroup, 0, 5}), true},
		"the owning group":   {accessList(aclEntry{aclUserObj, 4, noID}, aclEntry{tagGroupObj, 4, noID}, aclEntry{tagOther, 0, noID}), false},
		"everybody":          {accessList(aclEntry{aclUserObj, 4, noID}, aclEntry{tagGroupObj, 0, noID}, aclEntry{tagOther, 4, noID}), false},
		"an unknown tag":     {credential(1000, aclEntry{0x40, 4, 0}), false},
		"nothing":            {nil, false},
		"cut":                {credential(1000)[:9], false},
		"another version":    {append([]byte{3, 0, 0, 0}, credential(1000)[4:]...), false},
	}
	for name, test := range cases {
		if got := grantsOnly(test.list, 1000); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

func TestReadKeyring_AcceptsACredential(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if err := WriteKeyring(path); err != nil {
		t.Fatal(err)
	}
	uid := os.Geteuid()
	set := func(uid int) {
		if err := syscall.Setxattr(path, aclAttribute, credential(uint32(uid)), 0); err != nil {
			t.Skipf("no access lists on this file system: %v", err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o440 {
			t.Fatalf("mode %v, %v; want 0440", info.Mode(), err)
		}
	}
	set(uid)
	if _, err := ReadKeyring(path); err != nil {
		t.Errorf("list for this user: %v", err)
	}
	set(uid + 1)
	if _, err := ReadKeyring(path); err == nil {
		t.Error("accepted a list for another user")
	}
}
