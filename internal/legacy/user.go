package legacy

import (
	"encoding/json"
	"strings"

	"github.com/pgam/pgam/internal/account"
)

// User is an entry of users.json.
type User struct {
	Login        string
	PasswordHash string // as it stands there; the caller checks it
	Role         account.Role
	// UnknownRole is what stands in place of a role that pgam knows, and made
	// the user a viewer; "none" where nothing does. Empty: the role is known.
	UnknownRole string
	Active      bool
}

// addUsers reads users. Of several with one login the first counts, as in the
// Python version.
func (f *Folder) addUsers(entries []entry) {
	seen := make(map[string]bool)
	for _, e := range entries {
		u, fault := readUser(e)
		repeated := fault == "" && seen[u.Login]
		if repeated {
			fault = "the login is there before: the first one counts"
		}
		if fault != "" {
			f.Left = append(f.Left, Left{UsersFile, e.called(u.Login), fault, repeated})
			continue
		}
		seen[u.Login] = true
		f.Users = append(f.Users, u)
	}
}

func readUser(e entry) (u User, fault string) {
	if e.fault != "" {
		return u, e.fault
	}
	for field, into := range map[string]*string{"login": &u.Login, "password": &u.PasswordHash} {
		var ok bool
		if *into, ok = e.text(field); !ok {
			return u, field + " is not text"
		}
	}
	if err := account.ValidateLogin(u.Login); err != nil {
		return u, reason(err, account.ErrInvalid)
	}
	var active bool
	if active, fault = readActive(e); fault != "" {
		return u, fault
	}
	u.Active = active
	name, _ := e.text("role")
	role, err := account.ParseRole(name)
	if err != nil {
		role = account.Viewer
		if u.UnknownRole = name; name == "" {
			u.UnknownRole = "none"
		}
	}
	u.Role = role
	return u, ""
}

// readActive reads is_active, which only later versions write.
func readActive(e entry) (active bool, fault string) {
	raw, there := e.fields["is_active"]
	if !there || string(raw) == "null" {
		return true, ""
	}
	if json.Unmarshal(raw, &active) != nil {
		return false, "is_active is neither true nor false"
	}
	return active, ""
}

// reason gives an error's text without that of the sentinel it wraps, on one
// line.
func reason(err, sentinel error) string {
	text := strings.ReplaceAll(err.Error(), sentinel.Error()+": ", "")
	return strings.ReplaceAll(text, "\n", "; ")
}
