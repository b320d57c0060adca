package config

import (
	"errors"
	"fmt"

	"github.com/pgam/pgam/internal/secret"
)

// Shared is what every program reads.
type Shared struct {
	KeyFile   string `envconfig:"KEY_FILE" default:"/etc/pgam/keyring.json" check:"path" desc:"Keyring that seals stored passwords; mode 600. Make one with pgam key generate."`
	LogLevel  Level  `envconfig:"LOG_LEVEL" default:"info" python:"LOG_LEVEL" limits:"debug, info, warning or error" desc:"Least severe message that is logged."`
	LogFormat string `envconfig:"LOG_FORMAT" default:"text" oneof:"text,json" desc:"Form of the log on standard error."`
}

// SSH is what every program reads that reaches hosts over SSH.
type SSH struct {
	SSHKnownHosts string   `envconfig:"SSH_KNOWN_HOSTS" check:"path" example:"/etc/pgam/known_hosts" desc:"File of host keys (known_hosts of OpenSSH) that are trusted beside those pinned to a server."`
	SSHTimeout    Duration `envconfig:"SSH_TIMEOUT" default:"5s" min:"100ms" max:"1m" desc:"Longest time for each step over SSH: reaching and entering a host, and each command."`
}

// Daemon is what both daemons read.
type Daemon struct {
	SSH
	EnvFile         string   `envconfig:"ENV_FILE" check:"path" example:"/etc/pgam/collector.env" desc:"File of more settings, a PGAM_NAME=value a line; the environment counts more. It is read again on SIGHUP (systemctl reload): the log level is taken over at once, and the log names what waits for a restart."`
	ShutdownTimeout Duration `envconfig:"SHUTDOWN_TIMEOUT" default:"5s" min:"1s" max:"1m" desc:"Longest time a clean stop may take; keep it below systemd's TimeoutStopSec."`
}

// Collector is the configuration of pgam-collector.
type Collector struct {
	Shared
	Daemon
	StatsDSN     secret.Value `envconfig:"STATS_DSN" required:"true" check:"dsn" example:"postgres://pgam:PASSWORD@127.0.0.1:5432/stats_db" desc:"Where stats_db is: a libpq URL or keywords."`
	DataDir      string       `envconfig:"DATA_DIR" default:"/var/lib/pgam" check:"path" desc:"Folder of the journal of what is not yet in stats_db."`
	HealthListen string       `envconfig:"HEALTH_LISTEN" default:"127.0.0.1:8001" check:"address" desc:"Address of the collector's /healthz, /readyz and /metrics; they ask for no token, so keep it on loopback."`

	ActivityInterval  Duration `envconfig:"ACTIVITY_INTERVAL" default:"1s" min:"1s" max:"60s" step:"1s" desc:"Time between two samples of pg_stat_activity. A server may have its own."`
	DatabasesInterval Duration `envconfig:"DATABASES_INTERVAL" default:"10s" min:"1s" max:"1h" step:"1s" desc:"Time between two samples of pg_stat_database. A server may have its own."`
	InventoryInterval Duration `envconfig:"INVENTORY_INTERVAL" default:"60s" min:"1s" max:"1d" step:"1s" desc:"Time between two looks at the list of databases. A server may have its own."`
	SizesInterval     Duration `envconfig:"SIZES_INTERVAL" default:"30m" min:"10s" max:"7d" step:"1s" desc:"Time between two measurements of database sizes. A server may have its own."`
	DisksInterval     Duration `envconfig:"DISKS_INTERVAL" default:"60s" min:"5s" max:"1d" step:"1s" desc:"Time between two looks at the file systems of a server's host. A server may have its own."`

	ConnectTimeout  Duration `envconfig:"CONNECT_TIMEOUT" default:"5s" min:"100ms" max:"1m" desc:"Longest time for reaching and entering a monitored server."`
	MaxConnecting   int      `envconfig:"MAX_CONNECTING" default:"16" min:"1" max:"1000" desc:"Most monitored servers being connected to at one time."`
	MaxProcs        int      `envconfig:"MAX_PROCS" default:"1" min:"1" max:"64" desc:"Processors used at one time. One is cheapest up to hundreds of servers: most of the work is waking up."`
	JournalMaxBytes Bytes    `envconfig:"JOURNAL_MAX_BYTES" default:"2GiB" min:"1MiB" max:"16TiB" desc:"Largest size of the journal while stats_db is away; beyond it the oldest visits are dropped, and counted."`

	BurstActive             int      `envconfig:"BURST_ACTIVE" default:"50" runtime:"true" min:"0" max:"1000000" desc:"Active sessions of a server from which it is looked at in full detail for a while; 0: never. A server may have its own."`
	BurstLockWaits          int      `envconfig:"BURST_LOCK_WAITS" default:"5" runtime:"true" min:"0" max:"1000000" desc:"Sessions waiting for a lock from which a server is looked at in full detail; 0: never. A server may have its own."`
	BurstConnectionsPercent int      `envconfig:"BURST_CONNECTIONS_PERCENT" default:"90" runtime:"true" min:"0" max:"100" desc:"Connections, in percent of max_connections, from which a server is looked at in full detail; 0: never. A server may have its own."`
	BurstLength             Duration `envconfig:"BURST_LENGTH" default:"1m" runtime:"true" min:"1s" max:"1h" desc:"How long full detail is taken, once begun."`
	BurstPause              Duration `envconfig:"BURST_PAUSE" default:"5m" runtime:"true" min:"0s" max:"1d" desc:"How long after a burst the next one may begin."`

	RetentionActivity           Duration `envconfig:"RETENTION_ACTIVITY" default:"30d" runtime:"true" min:"1h" max:"36500d" desc:"How long samples of sessions are kept, and what PostgreSQL said of databases row by row."`
	RetentionMinutes            Duration `envconfig:"RETENTION_MINUTES" default:"90d" runtime:"true" min:"1h" max:"36500d" desc:"How long sums by minute and by ten minutes are kept."`
	RetentionDatabases          Duration `envconfig:"RETENTION_DATABASES" default:"730d" runtime:"true" min:"1h" max:"36500d" desc:"How long statistics and sizes of databases are kept."`
	RetentionDisks              Duration `envconfig:"RETENTION_DISKS" default:"730d" runtime:"true" min:"1h" max:"36500d" desc:"How long disk usage is kept."`
	RetentionRollups            Duration `envconfig:"RETENTION_ROLLUPS" default:"730d" runtime:"true" min:"1h" max:"36500d" desc:"How long sums by hour and day are kept."`
	RetentionAudit              Duration `envconfig:"RETENTION_AUDIT" default:"400d" runtime:"true" min:"1h" max:"36500d" desc:"How long the audit is kept: what was done to sessions, and what was refused."`
	RetentionDetachConcurrently bool     `envconfig:"RETENTION_DETACH_CONCURRENTLY" default:"true" desc:"Detach old partitions concurrently before dropping them; false where stats_db does not know how (Citus)."`
}

// API is the configuration of pgam-api.
type API struct {
	Shared
	Daemon
	StatsDSN secret.Value `envconfig:"STATS_DSN" required:"true" check:"dsn" example:"postgres://pgam:PASSWORD@127.0.0.1:5432/stats_db" desc:"Where stats_db is: a libpq URL or keywords."`
	Listen   string       `envconfig:"LISTEN" default:"127.0.0.1:8000" check:"address" desc:"Address the API listens on."`

	TokenKey         secret.Value `envconfig:"TOKEN_KEY" required:"true" python:"SECRET_KEY" check:"tokenkey" limits:"at least 32 bytes" example:"\"$(openssl rand -base64 48)\"" desc:"Key that signs tokens. All API processes share it."`
	TokenKeyPrevious secret.Value `envconfig:"TOKEN_KEY_PREVIOUS" check:"tokenkey" limits:"at least 32 bytes" example:"the PGAM_TOKEN_KEY of before" desc:"Key before the last change; tokens it signed stay good until they expire."`
	TokenTTL         Duration     `envconfig:"TOKEN_TTL" default:"60m" min:"1m" max:"24h" python:"TOKEN_EXPIRATION,m" desc:"How long a token is good."`
	TokenIssuer      string       `envconfig:"TOKEN_ISSUER" default:"pgam" desc:"Issuer (iss) of tokens; tokens of another are refused."`
	TokenAudience    string       `envconfig:"TOKEN_AUDIENCE" default:"pgam-api" desc:"Audience (aud) of tokens; tokens for another are refused."`

	SessionIdle     Duration `envconfig:"SESSION_IDLE" default:"12h" min:"1m" max:"90d" desc:"How long a browser stays logged in without a request."`
	SessionLifetime Duration `envconfig:"SESSION_LIFETIME" default:"7d" min:"1m" max:"90d" desc:"How long a browser stays logged in, however much it asks."`

	LoginRate int `envconfig:"LOGIN_RATE" default:"30" min:"1" max:"1000000" desc:"Most logins a minute from one client address (a /64 of IPv6), over all API processes; its network (/24, /48) has four times as many. Behind a proxy, set PGAM_TRUSTED_PROXIES, or all clients share it."`

	CORSOrigins    []string `envconfig:"CORS_ORIGINS" check:"origins" example:"https://pgam.example.org" desc:"Origins of web pages that may call the API."`
	TrustedProxies []string `envconfig:"TRUSTED_PROXIES" check:"proxies" example:"10.0.0.0/8,127.0.0.1" desc:"Addresses or networks of proxies whose X-Forwarded-For is believed; no other header is."`

	PoolDefault  PoolSize `envconfig:"POOL_DEFAULT" default:"1-5" desc:"Connections to one monitored server, least-most."`
	PoolStats    PoolSize `envconfig:"POOL_STATS" default:"2-10" desc:"Connections to stats_db, least-most."`
	PoolHighLoad PoolSize `envconfig:"POOL_HIGH_LOAD" default:"5-20" desc:"Connections to one monitored server of the class high_load, least-most."`

	StatusCacheTTL Duration `envconfig:"STATUS_CACHE_TTL" default:"5s" min:"100ms" max:"1h" python:"SERVER_STATUS_CACHE_TTL,s" desc:"How long the status of a server is shown again without asking it."`
	SSHCacheTTL    Duration `envconfig:"SSH_CACHE_TTL" default:"30s" min:"100ms" max:"1h" python:"SSH_CACHE_TTL,s" desc:"How long what was learned over SSH is shown again without asking."`
	SSHHostKeys    string   `envconfig:"SSH_HOST_KEYS" default:"strict" oneof:"strict,accept-new" desc:"What becomes of an SSH host whose key nobody has confirmed: strict refuses it, accept-new pins the key at first contact."`
	LiveDeadline   Duration `envconfig:"LIVE_DEADLINE" default:"5s" min:"100ms" max:"1m" desc:"Longest time GET /servers waits for one server."`
	SessionControl string   `envconfig:"SESSION_CONTROL" default:"off" oneof:"off,cancel,terminate" desc:"What operators may do with sessions of monitored servers: nothing, cancel their statements, or also end them. A server may have its own. The monitoring role needs pg_signal_backend for it."`
	MaxStreams     int      `envconfig:"MAX_STREAMS" default:"100" min:"1" max:"10000" desc:"Most live streams (SSE) served at one time, a quarter of them to one user. Listeners of one server share what is asked of it."`
}

// Tool is the configuration of pgam. Its stats_db may be missing, for commands
// that need none; see NeedStatsDSN.
type Tool struct {
	Shared
	SSH
	StatsDSN secret.Value `envconfig:"STATS_DSN" check:"dsn" example:"postgres://pgam:PASSWORD@127.0.0.1:5432/stats_db" desc:"Where stats_db is: a libpq URL or keywords."`
	DataDir  string       `envconfig:"DATA_DIR" default:"/var/lib/pgam" check:"path" desc:"Folder of the journal of what is not yet in stats_db."`

	RetentionDatabases Duration `envconfig:"RETENTION_DATABASES" default:"730d" min:"1h" max:"36500d" desc:"How long statistics and sizes of databases are kept."`
}

// LoadCollector reads the configuration of pgam-collector from environ, a list
// of NAME=value as os.Environ gives.
func LoadCollector(environ []string) (Collector, error) {
	environ, err := withFile(environ)
	if err != nil {
		return Collector{}, err
	}
	var loaded Collector
	if err := errors.Join(load(&loaded, environ)...); err != nil {
		return Collector{}, err
	}
	return loaded, nil
}

// LoadAPI reads the configuration of pgam-api, as LoadCollector does.
func LoadAPI(environ []string) (API, error) {
	environ, err := withFile(environ)
	if err != nil {
		return API{}, err
	}
	var loaded API
	faults := load(&loaded, environ)
	if !loaded.TokenKey.IsZero() && loaded.TokenKey.Equal(loaded.TokenKeyPrevious) {
		faults = append(faults, fmt.Errorf("%sTOKEN_KEY_PREVIOUS: must differ from %sTOKEN_KEY: unset it", prefix, prefix))
	}
	if err := errors.Join(faults...); err != nil {
		return API{}, err
	}
	return loaded, nil
}

// LoadTool reads the configuration of pgam, as LoadCollector does.
func LoadTool(environ []string) (Tool, error) {
	var loaded Tool
	if err := errors.Join(load(&loaded, environ)...); err != nil {
		return Tool{}, err
	}
	return loaded, nil
}

// NeedStatsDSN returns the error a command gives that needs stats_db where none
// is configured.
func (t Tool) NeedStatsDSN() error {
	if !t.StatsDSN.IsZero() {
		return nil
	}
	for _, field := range fieldsOf(&t) {
		if field.name == prefix+"STATS_DSN" {
			return missing(field)
		}
	}
	return nil
}
