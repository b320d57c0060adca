package api

import (
	"net/netip"

	"github.com/gin-gonic/gin"

	"github.com/pgam/pgam/internal/api/route"
)

// addressed tells a login from where it comes.
func addressed(c *gin.Context) {
	if isLogin(c.FullPath()) {
		client, _ := netip.ParseAddr(c.ClientIP())
		c.Request = c.Request.WithContext(route.WithClient(c.Request.Context(), client))
	}
	c.Next()
}
