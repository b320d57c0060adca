package secret

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
)

// The kernel's form of a POSIX access list (linux/posix_acl_xattr.h): a 32-bit
// version, then entries of tag, permissions and id, little endian.
const (
	aclAttribute  = "system.posix_acl_access"
	aclVersion    = 2
	aclHeadBytes  = 4
	aclEntryBytes = 8

	aclUserObj = 0x01
	aclUser    = 0x02
	aclMask    = 0x10
)

// onlyGrantedTo reports whether the group bits of file come from an access list
// that lets in nobody but its owner and the user uid. systemd hands credentials
// over like that: owned by root, with an entry for the service's user, which
// shows as mode 0440.
func onlyGrantedTo(file *os.File, uid int) bool {
	list := make([]byte, 1024)
	size, err := getxattr(file, list)
	if err != nil {
		return false
	}
	return grantsOnly(list[:size], uid)
}

// grantsOnly reports whether an access list in the kernel's form gives no
// permission to anyone but the owner and the user uid.
func grantsOnly(list []byte, uid int) bool {
	if len(list) < aclHeadBytes || (len(list)-aclHeadBytes)%aclEntryBytes != 0 ||
		binary.LittleEndian.Uint32(list) != aclVersion {
		return false
	}
	for entries := list[aclHeadBytes:]; len(entries) > 0; entries = entries[aclEntryBytes:] {
		tag := binary.LittleEndian.Uint16(entries)
		permissions := binary.LittleEndian.Uint16(entries[2:])
		id := binary.LittleEndian.Uint32(entries[4:])
		switch {
		case tag == aclUserObj, tag == aclMask, permissions == 0:
		case tag == aclUser && int64(id) == int64(uid):
		default:
			return false
		}
	}
	return true
}

// getxattr reads the access list through the open file, not through its name,
// which may be another file by now.
func getxattr(file *os.File, into []byte) (int, error) {
	return syscall.Getxattr(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), aclAttribute, into)
}
