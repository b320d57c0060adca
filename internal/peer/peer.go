// Package peer owns how soon the two ends of a connection to PostgreSQL notice
// that the other one has gone without a word: its host lost power or its network.
// What TCP does by itself takes from a quarter of an hour to two.
package peer

import (
	"net"
	"time"
)

// goneAfter is how long the other end may be silent to probes, or leave what was
// sent unacknowledged. It is half a minute in SessionSQL too.
const goneAfter = 30 * time.Second

// Dialer makes connections that end soon after their other end has gone.
func Dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: goneAfter / 2, Interval: goneAfter / 6, Count: 3},
		Control:         control,
	}
}

// SessionSQL is a query of one row that has the server notice the same of us,
// also while a statement runs, so that a session does not keep its locks and its
// place among the connections. Other systems than Linux know only some of these
// settings and refuse the others, as older versions do. Over a Unix socket the
// first three are 0 whatever is set.
const SessionSQL = `select pg_catalog.count(pg_catalog.set_config(v.name, v.setting, false))
  from (values ('tcp_keepalives_idle', '15'),
               ('tcp_keepalives_interval', '5'),
               ('tcp_keepalives_count', '3'),
               ('tcp_user_timeout', '30000'),
               ('client_connection_check_interval', '5000')) as v (name, setting)
 where pg_catalog.current_setting(v.name, true) is not null
   and pg_catalog.version() like '%linux%'`
