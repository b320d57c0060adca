package httpapi

import (
	"net/netip"

	"github.com/gin-gonic/gin"

	"github.com/pgam/pgam/internal/httpapi/face"
)

// addressed tells a login from where it comes.
func addressed(c *gin.Context) {
	if isLogin(c.FullPath()) {
		client, _ := netip.ParseAddr(c.ClientIP())
		c.Request = c.Request.WithContext(face.WithClient(c.Request.Context(), client))
	}
	c.Next()
}
