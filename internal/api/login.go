package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/pgam/pgam/internal/api/route"
)

// addressed tells a login, and whatever changes something, from where it comes, and whether the browser's
// connection is encrypted: it is, or a trusted proxy says so.
func addressed(trustedProxies []string) (gin.HandlerFunc, error) {
	var trusted []netip.Prefix
	for _, text := range trustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if addr, bare := netip.ParseAddr(text); bare == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("read trusted proxy: %w", err)
		}
		trusted = append(trusted, prefix)
	}
	return func(c *gin.Context) {
		if isLogin(c.FullPath()) || c.Request.Method != http.MethodGet {
			client, _ := netip.ParseAddr(c.ClientIP())
			ctx := route.WithClient(c.Request.Context(), client)
			peer, _ := netip.ParseAddr(c.RemoteIP())
			proxied := slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer.Unmap()) })
			if c.Request.TLS != nil || proxied && strings.EqualFold(c.GetHeader("X-Forwarded-Proto"), "https") {
				ctx = route.WithSecure(ctx)
			}
			c.Request = c.Request.WithContext(ctx)
		}
		c.Next()
	}, nil
}
