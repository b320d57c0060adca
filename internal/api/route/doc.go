// Package route owns what both forms of the API, the Python contract and v1, have in common: the services
// they ask, how an operation is registered and authorized, and the one table
// that turns errors into answers.
//
// Handlers bind, call and shape; they return errors as they are.
// What must hold: an operation without a role is one that anybody may call,
// and says so; no answer holds a driver's text, what a client sent, or a
// secret; what a client is not told is in the log, under the request's id.
package route
