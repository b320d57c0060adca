// Package faultnet owns what goes wrong on the way to a server, for tests.
//
// Listen has a script speak where a server is expected; NewProxy and
// NewMessageProxy stand before a real one and treat its connections as the Fault
// says that is set, which may change while they run:
//
//	proxy := faultnet.NewProxy(t, server.Host(), server.Port())
//	watched.Endpoint.Port = proxy.Port()
//	proxy.Set(faultnet.Dark)
//
// All of it listens on loopback at a free port, and ends with the test.
package faultnet
