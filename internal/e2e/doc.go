// Package e2e owns the tests of the real programs together: it builds them,
// starts them as a user does, drives load on a real target, and reads through
// HTTP. It holds nothing but tests.
package e2e
