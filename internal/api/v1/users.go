package v1

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
)

// registerUsers adds /users, and /me/password for everybody.
func (r routes) registerUsers(op func(id, method, path, summary, tag string) huma.Operation) {
	const all, one, tag = "/users", "/users/{username}", "users"
	missing, unfit, taken := http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusConflict
	route.Register(r.Group, op("list-users", http.MethodGet, all, "All users, by name", tag), account.Admin, []int{unfit}, r.listUsers)
	create := op("create-user", http.MethodPost, all, "Add a user", tag)
	create.DefaultStatus = http.StatusCreated
	route.Register(r.Group, create, account.Admin, []int{http.StatusBadRequest, taken, unfit}, r.createUser)
	route.Register(r.Group, op("change-user", http.MethodPatch, one, "Change what is sent, keep the rest; a change ends the user's sessions and tokens", tag), account.Admin,
		[]int{http.StatusBadRequest, missing, taken, unfit}, r.changeUser)
	route.Register(r.Group, op("delete-user", http.MethodDelete, one, "Remove a user, and end their sessions and tokens", tag), account.Admin, []int{missing, taken}, r.deleteUser)
	route.Register(r.Group, op("change-password", http.MethodPut, "/me/password", "Change one's own password; ends all of one's sessions and tokens", "who asks"), account.Viewer,
		[]int{http.StatusBadRequest, unfit, http.StatusTooManyRequests}, r.changePassword)
}

type userRow struct {
	Username    string     `json:"username"`
	Role        string     `json:"role" enum:"viewer,operator,admin"`
	Active      bool       `json:"active" doc:"False: may not log in."`
	CreatedAt   time.Time  `json:"created_at"`
	LastLoginAt *time.Time `json:"last_login_at" doc:"Null: never."`
}

func rowOfUser(u account.User) userRow {
	return userRow{Username: u.Login, Role: string(u.Role), Active: u.Active, CreatedAt: utc(u.CreatedAt), LastLoginAt: utcOrNull(u.LastLoginAt)}
}

type userPage struct {
	Items      []userRow `json:"items" nullable:"false"`
	NextCursor *string   `json:"next_cursor" doc:"Null: this is the last page."`
}

func (r routes) listUsers(ctx context.Context, in *listInput) (*output[userPage], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	users, err := r.Catalog.ListAccounts(ctx) // by login
	if err != nil {
		return nil, err
	}
	page, next := pageOf(users, func(u account.User) string { return u.Login }, after, in.Limit)
	body := userPage{Items: make([]userRow, len(page)), NextCursor: next}
	for i, u := range page {
		body.Items[i] = rowOfUser(u)
	}
	return say(body), nil
}

type userNew struct {
	Username string `json:"username" minLength:"1" maxLength:"64" doc:"Printable, to 64 bytes."`
	Role     string `json:"role" enum:"viewer,operator,admin"`
	Password string `json:"password" format:"password" doc:"8 to 72 bytes; never returned."`
}

func (r routes) createUser(ctx context.Context, in *struct{ Body userNew }) (*output[userRow], error) {
	u := account.User{Login: in.Body.Username, Role: account.Role(in.Body.Role), Active: true}
	if err := account.ValidateLogin(u.Login); err != nil {
		return nil, err
	}
	var err error
	if u.PasswordHash, err = r.Passwords.Hash(ctx, in.Body.Password); err != nil {
		return nil, err
	}
	made, err := r.Catalog.CreateAccount(ctx, u)
	if err != nil {
		return nil, err
	}
	return say(rowOfUser(made)), nil
}

// UserPath is the user that an operation is about.
type UserPath struct {
	Username string `path:"username" doc:"The user's name."`
}

type userChangeInput struct {
	UserPath

	Body struct {
		Role     *string `json:"role,omitempty" enum:"viewer,operator,admin"`
		Active   *bool   `json:"active,omitempty" doc:"False: may not log in, and is logged out."`
		Password *string `json:"password,omitempty" format:"password" doc:"8 to 72 bytes; never returned."`
	}
}

func (r routes) changeUser(ctx context.Context, in *userChangeInput) (*output[userRow], error) {
	change := account.Change{Active: in.Body.Active}
	if in.Body.Role != nil {
		role := account.Role(*in.Body.Role)
		change.Role = &role
	}
	if in.Body.Password != nil {
		if _, err := r.Catalog.Account(ctx, in.Username); err != nil {
			return nil, err
		}
		hash, err := r.Passwords.Hash(ctx, *in.Body.Password)
		if err != nil {
			return nil, err
		}
		change.PasswordHash = &hash
	}
	changed, err := r.Catalog.ChangeAccount(ctx, in.Username, change)
	if err != nil {
		return nil, err
	}
	r.UserChanged(changed.ID)
	return say(rowOfUser(changed)), nil
}

func (r routes) deleteUser(ctx context.Context, in *UserPath) (*struct{}, error) {
	user, err := r.Catalog.Account(ctx, in.Username)
	if err == nil {
		err = r.Catalog.DeleteAccount(ctx, in.Username, false)
	}
	if err != nil {
		return nil, err
	}
	r.UserChanged(user.ID)
	return nil, nil
}

type passwordInput struct {
	Body struct {
		Password    string `json:"password" format:"password" doc:"The present one."`
		NewPassword string `json:"new_password" format:"password" doc:"8 to 72 bytes."`
	}
}

func (r routes) changePassword(ctx context.Context, in *passwordInput) (*struct{}, error) {
	user, _ := route.User(ctx)
	if _, err := r.Login(ctx, user.Login, in.Body.Password); err != nil {
		if refused, ok := errors.AsType[*route.Error](err); ok && refused.Status == http.StatusUnauthorized {
			return nil, route.NewError(http.StatusUnprocessableEntity, "The present password is another one")
		}
		return nil, err
	}
	hash, err := r.Passwords.Hash(ctx, in.Body.NewPassword)
	if err != nil {
		return nil, err
	}
	if err := r.Catalog.SetPassword(ctx, user.Login, hash); err != nil {
		return nil, err
	}
	r.UserChanged(user.ID)
	return nil, nil
}
