// Package grafana owns the dashboards and what Grafana is provisioned with.
// Here are only their tests: they expand the SQL of every panel as Grafana
// does, and run it on a filled stats_db as a member of pgam_read.
package grafana
