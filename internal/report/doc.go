// Package report has the tests of the schema report: what its views and functions
// say is what was sampled, at every instant and however it came together, they read
// no more than they must, and they choose their grain as the planner of package
// history does.
//
// There is no code: people, Grafana and BI read the views, programs do not.
package report
