// Made from the API's document by go run ./web/console. DO NOT EDIT.

/** Query and answer of what can be read. */
export interface Gets {
  "/api/v1/audit": {
    query: { account?: string; action?: string; cursor?: string; from?: string; limit?: number; server?: string; to?: string };
    answer: AuditPage;
  };
  "/api/v1/fleet": {
    query: { limit?: number; server?: string; sort?: "name" | "load" | "blocked" | "oldest_transaction" | "oldest_xmin" | "connections" | "disk" | "last_tick" };
    answer: FleetBody;
  };
  "/api/v1/fleet/activity": {
    query: { from?: string; step?: string; to?: string };
    answer: FleetActivityBody;
  };
  "/api/v1/fleet/databases": {
    query: { class?: "unused" | "static" | "low" | "healthy" | "dropped" | "unknown"; cursor?: string; format?: "json" | "csv"; from?: string; limit?: number; low_commits_per_hour?: number; order?: "asc" | "desc"; sort?: "name" | "class" | "size" | "growth" | "last_connection" | "commits" | "written" | "connections"; static_commits_per_hour?: number; static_rows?: number; to?: string; unused_days?: number };
    answer: DatabasesBody;
  };
  "/api/v1/fleet/minutes": {
    query: { from?: string; to?: string };
    answer: FleetMinutesBody;
  };
  "/api/v1/me": {
    query: Record<string, never>;
    answer: MeBody;
  };
  "/api/v1/servers": {
    query: { cursor?: string; limit?: number };
    answer: ServerPage;
  };
  "/api/v1/servers/{name}": {
    query: Record<string, never>;
    answer: ServerRow;
  };
  "/api/v1/servers/{name}/activity": {
    query: { all?: boolean };
    answer: ActivityBody;
  };
  "/api/v1/servers/{name}/databases": {
    query: { class?: "unused" | "static" | "low" | "healthy" | "dropped" | "unknown"; cursor?: string; format?: "json" | "csv"; from?: string; limit?: number; low_commits_per_hour?: number; order?: "asc" | "desc"; sort?: "name" | "class" | "size" | "growth" | "last_connection" | "commits" | "written" | "connections"; static_commits_per_hour?: number; static_rows?: number; to?: string; unused_days?: number };
    answer: DatabasesBody;
  };
  "/api/v1/servers/{name}/disks": {
    query: Record<string, never>;
    answer: DisksBody;
  };
  "/api/v1/servers/{name}/history/activity": {
    query: { "application!"?: string[] | null; "backend_type!"?: string[] | null; "client!"?: string[] | null; "database!"?: string[] | null; "query_id!"?: string[] | null; "state!"?: string[] | null; "user!"?: string[] | null; "wait_class!"?: string[] | null; "wait_event!"?: string[] | null; application?: string[] | null; backend_type?: string[] | null; client?: string[] | null; database?: string[] | null; from?: string; group_by?: "wait_class" | "wait_event" | "state" | "query" | "database" | "user" | "application" | "client" | "backend_type"; limit?: number; query_id?: string[] | null; state?: string[] | null; step?: string; to?: string; user?: string[] | null; wait_class?: string[] | null; wait_event?: string[] | null };
    answer: ActivitySeries;
  };
  "/api/v1/servers/{name}/history/at": {
    query: { at?: string; cursor?: string; limit?: number };
    answer: InstantBody;
  };
  "/api/v1/servers/{name}/history/blocking": {
    query: { from?: string; limit?: number; to?: string };
    answer: BlockingHistoryBody;
  };
  "/api/v1/servers/{name}/history/compare": {
    query: { "application!"?: string[] | null; "backend_type!"?: string[] | null; "client!"?: string[] | null; "database!"?: string[] | null; "query_id!"?: string[] | null; "state!"?: string[] | null; "user!"?: string[] | null; "wait_class!"?: string[] | null; "wait_event!"?: string[] | null; application?: string[] | null; backend_type?: string[] | null; by?: "wait_class" | "wait_event" | "state" | "query" | "database" | "user" | "application" | "client" | "backend_type"; client?: string[] | null; database?: string[] | null; from?: string; limit?: number; other_from?: string; other_to?: string; query_id?: string[] | null; state?: string[] | null; to?: string; user?: string[] | null; wait_class?: string[] | null; wait_event?: string[] | null };
    answer: CompareBody;
  };
  "/api/v1/servers/{name}/history/coverage": {
    query: { from?: string; step?: string; to?: string };
    answer: CoverageBody;
  };
  "/api/v1/servers/{name}/history/databases": {
    query: { from?: string; step?: string; to?: string };
    answer: DatabaseRatesBody;
  };
  "/api/v1/servers/{name}/history/disks": {
    query: { from?: string; to?: string };
    answer: DiskHistoryBody;
  };
  "/api/v1/servers/{name}/history/events": {
    query: { cursor?: string; from?: string; kinds?: string[] | null; limit?: number; to?: string };
    answer: EventsBody;
  };
  "/api/v1/servers/{name}/history/session": {
    query: { backend_start?: string; from?: string; limit?: number; pid?: number; to?: string };
    answer: SessionHistoryBody;
  };
  "/api/v1/servers/{name}/history/sizes": {
    query: { from?: string; step?: string; to?: string };
    answer: DatabaseSizesBody;
  };
  "/api/v1/servers/{name}/history/top": {
    query: { "application!"?: string[] | null; "backend_type!"?: string[] | null; "client!"?: string[] | null; "database!"?: string[] | null; "query_id!"?: string[] | null; "state!"?: string[] | null; "user!"?: string[] | null; "wait_class!"?: string[] | null; "wait_event!"?: string[] | null; application?: string[] | null; backend_type?: string[] | null; by?: "wait_class" | "wait_event" | "state" | "query" | "database" | "user" | "application" | "client" | "backend_type"; client?: string[] | null; database?: string[] | null; from?: string; limit?: number; query_id?: string[] | null; split?: "wait_class"; state?: string[] | null; to?: string; user?: string[] | null; wait_class?: string[] | null; wait_event?: string[] | null };
    answer: TopBody;
  };
  "/api/v1/servers/{name}/incident": {
    query: { at?: string; window?: string };
    answer: IncidentBody;
  };
  "/api/v1/servers/{name}/locks": {
    query: Record<string, never>;
    answer: LocksBody;
  };
  "/api/v1/servers/{name}/stream": {
    query: { every?: number; sessions?: boolean };
    answer: StreamTick;
  };
  "/api/v1/session": {
    query: Record<string, never>;
    answer: SessionBody;
  };
  "/api/v1/settings": {
    query: Record<string, never>;
    answer: SettingList;
  };
  "/api/v1/ssh-keys": {
    query: { cursor?: string; limit?: number };
    answer: KeyPage;
  };
  "/api/v1/ssh-keys/{key}": {
    query: Record<string, never>;
    answer: KeyRow;
  };
  "/api/v1/storage": {
    query: Record<string, never>;
    answer: StorageBody;
  };
  "/api/v1/users": {
    query: { cursor?: string; limit?: number };
    answer: UserPage;
  };
}

export interface ActBody {
  action: "cancel" | "terminate";
  pid: number;
  server: string;
  /** PostgreSQL says that it has sent the signal. What the session makes of it is seen in its state. */
  signalled: boolean;
}

export interface ActivityBody {
  at: string;
  /** Sessions of which the monitoring user may see nothing. */
  hidden: number;
  /** What is missing and what to do; null: nothing. */
  note: string | null;
  server: string;
  /** By pid; the monitor's own left out. */
  sessions: SessionNow[];
  /** Sessions with track_activities off, idle ones too: what they run is not told, nor before PostgreSQL 14 whether they are idle. */
  untracked: number;
}

export interface ActivitySeries {
  /** Grouped by wait class: one element a bucket; null: no tick was answered. */
  average_active_sessions?: ClassSeries;
  coverage: CoverageRow;
  /** Processors of the host at the end of the range, to hold the class cpu against; null: not known. */
  cpu_count: number | null;
  /** option: the server's cpu_count, as somebody typed in; host: what it has online, told where its disks are looked at, without quotas of containers. Null: not known. */
  cpu_count_source: "option" | "host" | null;
  /** As answered: whole minutes, unless the step is shorter; wider where nothing finer is kept. */
  from: string;
  /** The coarsest sums that the answer was made from; what is not summed up yet, and the ends of the range, come from finer ones. */
  grain: "tick" | "minute" | "10minute" | "hour" | "day";
  /** Not there where it is wait_class. */
  group_by?: string;
  /** Most sessions in one tick; null: no tick was answered, or sums do not tell because of the filter. */
  max_sessions: (number | null)[];
  /** Average active sessions of all other keys; with a filter also what sums do not list by key, whether it fits or not. */
  other?: (number | null)[] | null;
  /** At least so many keys are in other. */
  other_keys?: number;
  /** Grouped by anything else: one a key, the most frequent of the range first. */
  series?: KeySeries[] | null;
  server: string;
  step_seconds: number;
  /** Starts of the buckets, multiples of the step since the Unix epoch. */
  times: string[];
  to: string;
}

export interface AuditPage {
  /** The newest first. */
  items: AuditRow[];
  /** Null: this is the last page. */
  next_cursor: string | null;
}

export interface AuditRow {
  /** Login of who asked. */
  account: string;
  /** session.cancel or session.terminate; later versions know more. */
  action: string;
  at: string;
  /** From where; null: not known. */
  client_addr: string | null;
  /** What it was done to: pid, backend_start, user, application, database, client_addr. */
  detail: Record<string, unknown>;
  id: number;
  /** Null: not known; it is under way, or the API was ended meanwhile. */
  outcome: "ok" | "refused" | "failed" | null;
  /** What who asked was told; null: it was done. */
  reason: string | null;
  /** Its name then; null: there was none of this name. */
  server: string | null;
}

export interface BlockerRow {
  /** Time in which somebody waited for it. */
  blocked_seconds: number;
  /** First tick at which somebody waited for it. */
  first_at: string;
  last_at: string;
  most_at: string;
  /** As of most_at, when most sessions were behind it. */
  root: RootRow;
  /** That of all who waited, added up. */
  session_seconds: number;
  /** Sessions that waited for it, each once. */
  sessions_blocked: number;
}

export interface BlockingHistoryBody {
  coverage: CoverageRow;
  /** Times in which one backend held others up and itself waited for nobody; three ticks without it end one, or a minute in which nothing is known of it. Those first for which most time was waited. */
  episodes: EpisodeRow[];
  episodes_total: number;
  /** Later than asked where truncated. */
  from: string;
  /** Who waited directly for whom, over the whole range; those first who waited longest. */
  pairs: PairRow[];
  pairs_total: number;
  server: string;
  to: string;
  /** Too much to read, or no longer kept: only the newest part of the range is answered. */
  truncated: boolean;
}

export interface BlockingRow {
  /** Who waits for whom. */
  edges: EdgeRow[];
  /** What holds others up and waits for nobody: the one with the most behind it first. */
  roots: RootRow[];
  /** Sessions that wait for another. */
  waiting: number;
}

export interface BurstRow {
  /** Active sessions. */
  active: number | null;
  /** Connections, in percent of max_connections. */
  connections_percent: number | null;
  /** Sessions that wait for a lock. */
  lock_waits: number | null;
}

export interface ClassCounts {
  buffer: number;
  client: number;
  cpu: number;
  extension: number;
  idle_in_transaction: number;
  io: number;
  ipc: number;
  lock: number;
  lwlock: number;
  other: number;
  timeout: number;
}

export interface ClassSeries {
  buffer: (number | null)[];
  client: (number | null)[];
  cpu: (number | null)[];
  extension: (number | null)[];
  idle_in_transaction: (number | null)[];
  io: (number | null)[];
  ipc: (number | null)[];
  lock: (number | null)[];
  lwlock: (number | null)[];
  other: (number | null)[];
  timeout: (number | null)[];
}

export interface CompareBody {
  by: string;
  other_range: TopPart;
  range: TopPart;
  /** The keys listed for either range, those that changed most first. */
  rows: CompareRow[];
  server: string;
}

export interface CompareRow {
  /** Average active sessions minus those of the other range; null: not known. */
  change: number | null;
  /** What it is called, of a query its query_id; null: none (no query, no database, a Unix socket). */
  key: string | null;
  other_range: SideRow | null;
  /** As the server's query texts are kept; null: not known. */
  query: string | null;
  /** As text, for it does not fit a JavaScript number. */
  query_id: string | null;
  /** query_id is pgam's fingerprint, not PostgreSQL's. */
  query_id_is_own: boolean;
  /** Null: not known, for no tick was answered, or sums list their hundred most frequent keys. */
  range: SideRow | null;
  /** Of a wait event. */
  wait_class: string | null;
}

export interface CoverageBody {
  coverage: CoverageRow;
  from: string;
  /** One element a step; null: none was asked for. */
  series: CoverageSeriesRow | null;
  server: string;
  to: string;
}

export interface CoverageRow {
  /** The sessions were read, another answer was not. */
  degraded: number;
  failed: number;
  /** Failed ticks by reason. */
  failed_by: Record<string, number>;
  /** What was judged: not before the server was added. */
  from: string;
  /** Longest time without an answered tick; 0: none is missing. */
  longest_gap_seconds: number;
  ok: number;
  /** Ticks that the cadence promised: ok + degraded + failed + skipped. */
  planned: number;
  skipped: number;
  /** Skipped ticks by reason; not_running: no collector ran. */
  skipped_by: Record<string, number>;
  /** Not after what is stored while a collector runs. */
  to: string;
}

export interface CoverageSeriesRow {
  degraded: number[];
  failed: number[];
  ok: number[];
  planned: number[];
  skipped: number[];
  step_seconds: number;
  /** Starts of the buckets, multiples of the step since the Unix epoch. */
  times: string[];
}

export interface CriteriaRow {
  low_commits_per_hour: number;
  static_commits_per_hour: number;
  static_rows: number;
  unused_days: number;
}

export interface DatabaseRateRow {
  /** Found in shared buffers. */
  blocks_hit_per_second: (number | null)[];
  /** Not found in shared buffers. */
  blocks_read_per_second: (number | null)[];
  commits_per_second: (number | null)[];
  /** Average over time. */
  connections: (number | null)[];
  database: string;
  /** In the bucket. */
  deadlocks: (number | null)[];
  max_connections: (number | null)[];
  rollbacks_per_second: (number | null)[];
  temp_bytes_per_second: (number | null)[];
}

export interface DatabaseRatesBody {
  /** Of the visits to the server, which looks at databases go along with. */
  coverage: CoverageRow;
  /** By name, templates left out. One element a bucket; null: nothing is known. */
  databases: DatabaseRateRow[];
  /** As answered: whole hours or days where the grain is one. */
  from: string;
  /** What the answer was made from. */
  grain: "sample" | "10minute" | "hour" | "day";
  server: string;
  step_seconds: number;
  /** Starts of the buckets, multiples of the step since the Unix epoch. */
  times: string[];
  to: string;
}

export interface DatabaseSizesBody {
  /** Of the visits to the server, which looks at sizes go along with. */
  coverage: CoverageRow;
  /** By name, templates left out. */
  databases: DatabaseSizesRow[];
  /** As answered: whole hours or days where the grain is one. */
  from: string;
  /** What the answer was made from. */
  grain: "sample" | "10minute" | "hour" | "day";
  server: string;
  step_seconds: number;
  /** Starts of the buckets, multiples of the step since the Unix epoch. */
  times: string[];
  to: string;
}

export interface DatabaseSizesRow {
  database: string;
  /** The newest known at the end of each bucket; null: none of a day before, or it was not there. */
  size_bytes: (number | null)[];
}

export interface DatabaseUseRow {
  allow_connect: boolean;
  /** unused: nobody connected for some days; static: somebody did, and nothing was written and little committed; low: little committed; dropped: it is gone; unknown: it was not watched for long enough. */
  class: "unused" | "static" | "low" | "healthy" | "dropped" | "unknown";
  /** In the range, autovacuum's too. */
  commits: number | null;
  /** Over the time in which they were counted. */
  commits_per_hour: number | null;
  connections_average: number | null;
  /** In one look, autovacuum's too. */
  connections_max: number | null;
  /** Null: it was there before pgam looked. */
  created_at: string | null;
  database: string;
  dropped_at: string | null;
  first_seen_at: string;
  /** Since the oldest of the range. */
  growth_bytes: number | null;
  /** To the hour; null: nobody was seen in the range. Before PostgreSQL 14 autovacuum may be taken for somebody. */
  last_connection_at: string | null;
  /** pgam itself is connected to it, which looks like use. */
  monitored_through: boolean;
  rollbacks: number | null;
  rows_deleted: number | null;
  rows_inserted: number | null;
  rows_updated: number | null;
  /** Of the range, in which it was looked at. */
  seen_days: number;
  server: string;
  /** Begun in the range; null before PostgreSQL 14. */
  sessions: number | null;
  size_at: string | null;
  /** The newest of the range. */
  size_bytes: number | null;
}

export interface DatabasesBody {
  /** Of all databases, whatever class is asked for: unused, static, low, healthy, dropped, unknown. */
  by_class: Record<string, UseSum>;
  criteria: CriteriaRow;
  /** Those of this page; templates are left out. */
  databases: DatabaseUseRow[];
  /** On all pages. */
  databases_total: number;
  /** As answered, in whole hours. */
  from: string;
  /** Null: this is the last page. */
  next_cursor: string | null;
  /** Of the unused ones, without those that pgam is connected to. */
  reclaimable_bytes: number;
  to: string;
}

export interface DiskHistoryBody {
  /** Of the visits to the server, which looks at disks go along with. */
  coverage: CoverageRow;
  /** By mount point. */
  file_systems: DiskSeriesRow[];
  from: string;
  server: string;
  /** Width of a bucket, by the range; null: every stored sample. One in which nothing changed is stored every five minutes. */
  step_seconds: number | null;
  to: string;
}

export interface DiskSeriesRow {
  device: string | null;
  /** The newest of the bucket. */
  free_bytes: (number | null)[];
  inodes_free: (number | null)[];
  /** The least of the bucket. */
  min_free_bytes: (number | null)[];
  mount_point: string;
  /** Starts of the buckets, or instants of the samples. */
  times: string[];
  total_bytes: (number | null)[];
  uses: string[];
}

export interface DisksBody {
  age_seconds: number | null;
  /** By mount point. */
  file_systems: FileSystemRow[];
  /** Seen now, or half a minute ago at most; false: the newest sample of history, see problem. */
  live: boolean;
  /** Locations whose file system could not be looked at. */
  missing: MissingRow[];
  /** Why the host could not be looked at now and what to do; null: it could. */
  problem: string | null;
  /** Of the newest of file_systems; null: nothing is known. */
  sampled_at: string | null;
  server: string;
  /** How it was seen; import: by another program whose data was taken over; none: nothing is looked at. */
  source: "none" | "ssh" | "local" | "import";
}

export interface EdgeRow {
  blocked: PartyRow;
  /** Null: it was not seen. */
  blocker: PartyRow | null;
  /** Steps from the blocked session to what holds it up in the end; 0: it is in a ring. */
  depth: number;
  /** Null: not known. */
  lock: LockRow | null;
}

export interface EpisodeRow {
  /** Time in which somebody waited for it. */
  blocked_seconds: number;
  /** From first_at to ended_at; blocked_seconds is less where nobody waited for a tick or two, or nobody looked. */
  duration_seconds: number;
  /** When the tick after last_at was due: it was over by then, unless it is ongoing. */
  ended_at: string;
  /** First tick at which somebody waited for it. */
  first_at: string;
  /** No earlier tick of the range is without it: it may have begun before. */
  from_before: boolean;
  last_at: string;
  /** The ten who waited longest, directly or through others. */
  longest_waiters: WaiterRow[];
  most_at: string;
  /** No later tick of the range says that it is over. */
  ongoing: boolean;
  /** As of most_at, when most sessions were behind it. */
  root: RootRow;
  /** That of all who waited, added up. */
  session_seconds: number;
  /** Sessions that waited for it, each once. */
  sessions_blocked: number;
}

export interface EventRow {
  at: string;
  /** For a person. */
  detail: string | null;
  /** restart, crash, promotion, demotion, instance, version, setting, statistics_reset, database_created, database_dropped, database_renamed, collector_started, collector_stopped, collector_gap, collector_clock, server_added, server_changed, server_paused, server_removed, burst_started, burst_ended, clock_differs, clock_agrees; later versions know more. */
  kind: string;
  new: string | null;
  old: string | null;
  /** What it is about: the server, or pgam itself. */
  scope: "server" | "monitor";
  /** A setting's or a database's name; null: the server, or pgam itself. */
  subject: string | null;
}

export interface EventsBody {
  /** Of the visits to the server, which look for what events tell. */
  coverage: CoverageRow;
  from: string;
  /** The newest first. */
  items: EventRow[];
  /** Null: this is the last page. */
  next_cursor: string | null;
  server: string;
  to: string;
}

export interface FileSystemRow {
  device: string | null;
  /** What an unprivileged process can use. */
  free_bytes: number | null;
  /** Until nothing is free, if the trend goes on; null: it does not shrink, or no trend is known. */
  full_in_hours: number | null;
  inodes_free: number | null;
  /** Null: unknown, or without a fixed number. */
  inodes_total: number | null;
  mount_point: string;
  sampled_at: string;
  total_bytes: number | null;
  /** How free_bytes changes, over the last day; negative: it fills up; null: too little is known. */
  trend_bytes_per_second: number | null;
  /** What of PostgreSQL it holds: data, wal, tablespace:NAME. */
  uses: string[];
}

export interface FindingOf {
  /** Null: it is about the whole window. */
  at: string | null;
  rule: "coverage" | "blocking" | "connections" | "event" | "load" | "wait" | "query" | "transaction" | "xmin" | "deadlocks" | "commits" | "disk";
  severity: "critical" | "warning" | "info";
  text: string;
}

export interface FindingRow {
  /** What was found, or what is wrong and what to do. */
  detail: string;
  name: "connection" | "version" | "privileges" | "data_directory" | "clock" | "superuser" | "host_key" | "ssh" | "disks";
  ok: boolean;
}

export interface FleetActivityBody {
  /** By wait class, added up over the servers; null: nothing is known. */
  average_active_sessions: ClassSeries;
  /** All classes, divided by servers. */
  average_active_sessions_per_server: (number | null)[];
  /** As answered: whole minutes, hours or days, by the grain. */
  from: string;
  /** The coarsest sums that the answer was made from. */
  grain: "minute" | "hour" | "day";
  /** Servers of which something is known in the bucket. */
  servers: number[];
  step_seconds: number;
  ticks_answered: number[];
  /** Of those servers. */
  ticks_planned: number[];
  /** Starts of the buckets, multiples of the step since the Unix epoch. */
  times: string[];
  to: string;
}

export interface FleetBody {
  at: string;
  /** In the order of sort; unknown last. */
  servers: FleetRow[];
  servers_total: number;
}

export interface FleetDiskRow {
  free_bytes: number;
  free_percent: number;
  mount_point: string;
  sampled_at: string;
  total_bytes: number;
}

export interface FleetMinutesBody {
  /** As answered: whole minutes. */
  from: string;
  /** By name; those of which nothing is known are left out. */
  servers: FleetMinutesRow[];
  /** Starts of the minutes. */
  times: string[];
  to: string;
}

export interface FleetMinutesRow {
  /** One element a minute; null: no tick was answered. */
  average_active_sessions: (number | null)[];
  server: string;
}

export interface FleetRow {
  /** Of the newest minute; null: none is newer than ten minutes. */
  average_active_sessions: number | null;
  /** Of the same hour of the day before; null: it is not known. */
  average_active_sessions_yesterday: number | null;
  /** Sessions that wait for another, at the newest answered tick, as all that follows. */
  blocked_sessions: number | null;
  /** The tick was taken in full detail. */
  burst: boolean;
  by_wait_class: LoadRow | null;
  connections: number | null;
  /** Of the newest ten minutes. */
  coverage: CoverageRow;
  /** Processors of the host at the end of the range, to hold the class cpu against; null: not known. */
  cpu_count: number | null;
  /** option: the server's cpu_count, as somebody typed in; host: what it has online, told where its disks are looked at, without quotas of containers. Null: not known. */
  cpu_count_source: "option" | "host" | null;
  /** The file system with the least part free; null: none is known. */
  disk: FleetDiskRow | null;
  /** Until the first file system is full if the day's trend goes on; null: none shrinks, or no trend is known. */
  disk_full_in_hours: number | null;
  enabled: boolean;
  /** The newest of seven days, not of pgam itself; null: there was none. */
  last_event: EventRow | null;
  last_tick_age_seconds: number | null;
  /** The newest tick of a day; null: there is none. */
  last_tick_at: string | null;
  last_tick_outcome: "ok" | "degraded" | "failed" | "skipped" | null;
  /** Why it was not ok; null: it was. */
  last_tick_reason: string | null;
  max_connections: number | null;
  /** Of clients: VACUUM and walsenders have none. Null: none that is not idle is in a transaction. */
  oldest_transaction_seconds: number | null;
  /** Transactions since the oldest xmin, of sessions, slots, standbys and prepared transactions. */
  oldest_xmin_age: number | null;
  /** As last seen; null: not known. */
  role: "primary" | "standby" | null;
  server: string;
  /** As the server last said; null: not known. */
  version: string | null;
}

export interface HostKeyRow {
  /** It is the one that was confirmed. */
  confirmed: boolean;
  /** As ssh-keygen -l shows it: compare it on the host itself. */
  fingerprint: string;
  /** What to store as ssh.host_key to confirm it. */
  line: string;
  type: string;
}

export interface IncidentBody {
  at: string;
  /** What the window is compared with: the hour before it. */
  baseline_from: string;
  baseline_to: string;
  /** What held others up over the window; those first for which most time was waited. */
  blockers: BlockerRow[];
  coverage: CoverageRow;
  /** Rates over the window. */
  databases: IncidentDatabase[];
  disks: DiskSeriesRow[];
  /** In the order of time. */
  events: EventRow[];
  /** What stands out, the worst first, by the rules in docs/INCIDENT.md. */
  findings: FindingOf[];
  from: string;
  /** The instant itself: the twenty sessions that are longest in a transaction or a statement. All of them: history/at. */
  instant: InstantBody;
  /** Most connections of the window. */
  max_backends: number | null;
  /** The server's setting, as last seen. */
  max_connections: number | null;
  /** What is not known, so that its absence is no good sign. */
  missing: string[];
  server: string;
  /** Sessions by wait class over the window. */
  timeline: ActivitySeries;
  to: string;
  tops: IncidentTop[];
}

export interface IncidentDatabase {
  baseline_blocks_read_per_second: number | null;
  /** Of the hour before; null: not known. */
  baseline_commits_per_second: number | null;
  blocks_hit_per_second: number | null;
  blocks_read_per_second: number | null;
  commits_per_second: number | null;
  database: string;
  deadlocks: number;
  max_connections: number;
  rollbacks_per_second: number | null;
  temp_bytes_per_second: number | null;
}

export interface IncidentTop {
  answered_ticks: number;
  /** Answered ticks of the hour before; 0: there is nothing to compare with. */
  baseline_ticks: number;
  by: "wait_event" | "query" | "user" | "application" | "database" | "client";
  /** The most frequent of the window first; other_range is the hour before. */
  rows: CompareRow[];
  /** Session samples of the window. */
  samples: number;
}

export interface InstantBody {
  asked: string;
  /** Connections of what max_connections allows, idle ones too: client backends. */
  backends: number | null;
  /** Who waited for whom: all roots, and the edges of the sessions of this page. */
  blocking: BlockingRow;
  /** The tick was taken in full detail. */
  burst: boolean;
  /** Of the minute before the instant. */
  coverage: CoverageRow;
  /** Null: this is the last page. */
  next_cursor: string | null;
  /** What kept rows from being vacuumed, the oldest first. */
  oldest_xmin: XminRow[];
  outcome: "ok" | "degraded" | null;
  /** The newest answered tick that is not after the instant; null: none is near, see coverage. */
  sampled_at: string | null;
  server: string;
  /** Sessions that were not idle, by pid: those of this page. */
  sessions: SessionThen[];
  /** On all pages. */
  sessions_total: number;
}

export interface IntervalsRow {
  activity_seconds: number | null;
  databases_seconds: number | null;
  disks_seconds: number | null;
  inventory_seconds: number | null;
  sizes_seconds: number | null;
}

export interface KeyPage {
  items: KeyRow[];
  /** Null: this is the last page. */
  next_cursor: string | null;
}

export interface KeyRow {
  bits: number;
  created_at: string;
  /** Login of who made or imported it. */
  created_by: string | null;
  description: string;
  /** As ssh-keygen -l shows it. */
  fingerprint: string;
  has_passphrase: boolean;
  name: string;
  /** The line for authorized_keys of the hosts. The private part never leaves. */
  public_key: string;
  /** Names of the servers it is bound to. */
  servers: string[];
  type: string;
  updated_at: string;
}

export interface KeySeries {
  /** One element a bucket; null: no tick was answered. */
  average_active_sessions: (number | null)[];
  /** What it is called, of a query its query_id; null: none (no query, no database, a Unix socket). */
  key: string | null;
  /** As the server's query texts are kept; null: not known. */
  query: string | null;
  /** As text, for it does not fit a JavaScript number. */
  query_id: string | null;
  /** query_id is pgam's fingerprint, not PostgreSQL's. */
  query_id_is_own: boolean;
  /** Of a wait event. */
  wait_class: string | null;
}

export interface LoadRow {
  buffer: number;
  client: number;
  cpu: number;
  extension: number;
  idle_in_transaction: number;
  io: number;
  ipc: number;
  lock: number;
  lwlock: number;
  other: number;
  timeout: number;
}

export interface LockRow {
  database_oid: number | null;
  /** The mode that was asked for. */
  mode: string;
  /** Schema and name; null: not about a relation, or its name is not known. */
  relation: string | null;
  relation_oid: number | null;
  /** As in pg_locks. */
  type: string;
}

export interface LocksBody {
  at: string;
  blocking: BlockingRow;
  /** Sessions of which the monitoring user may see nothing: whether they wait is not known. */
  hidden: number;
  /** What is missing and what to do; null: nothing. */
  note: string | null;
  server: string;
  /** Sessions with track_activities off, idle ones too: what they run is not told, nor before PostgreSQL 14 whether they are idle. */
  untracked: number;
}

export interface MeBody {
  created_at: string;
  /** When that is over. */
  expires_at: string;
  /** As last read: the login that this request came with may not be in it. */
  last_login_at: string | null;
  role: "viewer" | "operator" | "admin";
  username: string;
  /** What the request came with. */
  via: "cookie" | "token";
}

export interface MissingRow {
  path: string;
  /** Class of what went wrong. */
  reason: string;
  use: string;
}

export interface OtherRow {
  /** Null: no tick was answered. */
  average_active_sessions: number | null;
  /** At least so many keys are not listed. */
  keys: number;
  samples: number;
  share: number;
  /** Part of samples of which it is not known whose they are: sums list their hundred most frequent keys. With a filter, they may not fit. */
  unlisted_samples: number;
}

export interface PairRow {
  blocked: WhoRow;
  blocker: WhoRow;
  first_at: string;
  last_at: string;
  /** As last seen; null: not known. */
  lock: LockRow | null;
  /** At so many ticks the one waited for the other. */
  ticks: number;
  /** The ticks by their cadence. */
  waited_seconds: number;
}

export interface PartyRow {
  /** 0: a prepared transaction. */
  pid: number;
  /** Identifier of a prepared transaction; null: it is a session. */
  prepared_transaction: string | null;
}

export interface RootRow {
  application: string | null;
  /** Of a prepared transaction, when it was prepared. */
  backend_start: string | null;
  backend_type: string | null;
  client_addr: string | null;
  database: string | null;
  /** Steps from the last of them to it. */
  depth: number;
  /** What it does; idle: it holds a lock of its session; not_tracked: its track_activities is off. */
  kind: "active" | "idle_in_transaction" | "idle" | "not_tracked" | "prepared_transaction" | "not_seen";
  /** What most of those who wait directly wait for. */
  lock: LockRow | null;
  /** 0: a prepared transaction; null: not seen. */
  pid: number | null;
  /** Identifier of a prepared transaction. */
  prepared_transaction: string | null;
  /** What it runs, or ran last. */
  query: string | null;
  query_age_seconds: number | null;
  query_id: string | null;
  /** The sessions of a deadlock that PostgreSQL is about to find; empty: it is none. */
  ring: PartyRow[];
  /** Sessions that wait for it, directly or through others, each once. */
  sessions_behind: number;
  state: string | null;
  state_age_seconds: number | null;
  user: string | null;
  wait_directly: number;
  wait_event: string | null;
  wait_event_type: string | null;
  xact_age_seconds: number | null;
}

export interface ServerPage {
  items: ServerRow[];
  /** Null: this is the last page. */
  next_cursor: string | null;
}

export interface ServerRow {
  /** A server that asks for MD5, or for SCRAM of less than 4096 rounds, is answered also where TLS does not verify who it is. */
  allow_md5: boolean;
  /** From when on the server is looked at in full detail for a while. 0: never; null: the collector's setting. */
  burst: BurstRow;
  /** Processors of the host as somebody typed in; null: as the host says, see /fleet. */
  cpu_count: number | null;
  created_at: string;
  database: string;
  /** How the host's file systems are looked at; auto: ssh where there is an SSH user and a host to go to, none otherwise; local: pgam runs on the host. */
  disk_source: "auto" | "none" | "ssh" | "local";
  /** False: collection is paused. */
  enabled: boolean;
  has_password: boolean;
  host: string;
  /** Never reused; history belongs to it. */
  id: number;
  /** Null: the collector's setting. */
  intervals: IntervalsRow;
  name: string;
  /** A stored password cannot be opened: set it again. */
  password_broken: boolean;
  pool_profile: "default" | "stats_db" | "high_load";
  port: number;
  /** How the texts of statements are kept in the history: without literals, as the server shows them, or not at all. */
  query_texts: "normalized" | "full" | "none";
  /** What operators may do with its sessions: nothing, cancel statements, or also end sessions; null: as PGAM_SESSION_CONTROL of the API says. */
  session_control: "off" | "cancel" | "terminate" | null;
  /** What they may do. */
  session_control_in_force: "off" | "cancel" | "terminate";
  ssh: ShellRow;
  /** Kept for clients of the Python version. */
  stats_db: string | null;
  tls_mode: "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full";
  updated_at: string;
  user: string;
}

export interface SessionBody {
  /** To be sent as X-CSRF-Token with whatever changes something. */
  csrf_token: string;
  /** If nothing more is asked until then. */
  expires_at: string;
  role: "viewer" | "operator" | "admin";
  username: string;
}

export interface SessionHistoryBody {
  coverage: CoverageRow;
  /** What the spans cover: later than asked where truncated, or where the server was added later. */
  from: string;
  /** Of a parallel worker. */
  leader_pid: number | null;
  /** For whom it waited directly, and who for it; those first that took longest. */
  pairs: PairRow[];
  pairs_total: number;
  server: string;
  /** Null: it was never sampled on these days. */
  session: WhoRow | null;
  /** One for each state, wait and statement, in the order of time. */
  spans: SpanRow[];
  /** Not after what is stored while a collector runs. */
  to: string;
  /** Too much to read or to list, or no longer kept: only the newest part of the range is answered. */
  truncated: boolean;
}

export interface SessionNow {
  application: string | null;
  backend_age_seconds: number | null;
  /** When it connected, to the microsecond: with the pid it names the session. */
  backend_start: string | null;
  backend_type: string | null;
  /** Pids of what holds or waits ahead for the lock that this session waits for; 0 is a prepared transaction. */
  blocked_by: number[];
  /** Null: a Unix socket or a background process. */
  client_addr: string | null;
  database: string | null;
  /** Leader of a parallel worker; PostgreSQL 13 and later. */
  leader_pid: number | null;
  pid: number;
  /** To a viewer as query_texts of the server says: without literals, or null. */
  query: string | null;
  /** Since the current statement began, or the last one. */
  query_age_seconds: number | null;
  /** As text, for it does not fit a JavaScript number. PostgreSQL 14 and later, with compute_query_id. */
  query_id: string | null;
  state: string | null;
  state_age_seconds: number | null;
  user: string | null;
  /** idle: no load, for it waits for work or sleeps because a throttle says so. */
  wait_class: "cpu" | "lock" | "lwlock" | "io" | "ipc" | "client" | "timeout" | "buffer" | "extension" | "other" | "idle_in_transaction" | "idle";
  wait_event: string | null;
  /** Null: it runs on the CPU. */
  wait_event_type: string | null;
  /** Null: not in a transaction. */
  xact_age_seconds: number | null;
}

export interface SessionThen {
  application: string | null;
  backend_start: string | null;
  backend_type: string | null;
  blocked: boolean;
  /** First session that blocked it; null where blocked: a prepared transaction, or one that was not seen. */
  blocked_by_pid: number | null;
  client_addr: string | null;
  database: string | null;
  leader_pid: number | null;
  pid: number;
  /** Normalized text. */
  query: string | null;
  query_age_seconds: number | null;
  /** As text, for it does not fit a JavaScript number. */
  query_id: string | null;
  /** query_id is pgam's fingerprint, not PostgreSQL's. */
  query_id_is_own: boolean;
  query_start: string | null;
  state: string;
  state_change: string | null;
  user: string | null;
  /** idle: no load, for it waited for work or slept because a throttle said so; in no average, peak or burst. */
  wait_class: "cpu" | "lock" | "lwlock" | "io" | "ipc" | "client" | "timeout" | "buffer" | "extension" | "other" | "idle_in_transaction" | "idle";
  wait_event: string;
  /** CPU where PostgreSQL reported no wait, empty where it does not tell. */
  wait_event_type: string;
  xact_age_seconds: number | null;
  /** Null: it is in no transaction that others may have to wait for; VACUUM and walsenders never are. */
  xact_start: string | null;
  /** Transactions since the session's xmin. */
  xmin_age: number | null;
}

export interface SettingList {
  items: SettingRow[];
}

export interface SettingRow {
  default: string;
  description: string;
  /** Which values are accepted; empty: any of the unit. */
  limits: string;
  name: string;
  /** changed: here; environment: of the collector, as it was last started; default: neither. */
  source: "changed" | "environment" | "default";
  unit: string;
  /** Null: never changed. */
  updated_at: string | null;
  /** Login of who changed it last; cli: on the command line. */
  updated_by: string | null;
  /** In force; as in the environment: 30d, true, 40. */
  value: string;
}

export interface ShellRow {
  has_password: boolean;
  /** Null: the server's own host. */
  host: string | null;
  /** The host's public key as it was confirmed; null: not yet. */
  host_key: string | null;
  /** As ssh-keygen -l shows it. */
  host_key_fingerprint: string | null;
  /** Name of the SSH key that logs in instead of the password; null: none. */
  key: string | null;
  port: number;
  /** The stored password or key cannot be opened: set it again. */
  secret_broken: boolean;
  /** PostgreSQL is reached through SSH: host and port are as the SSH host sees them. */
  tunnel: boolean;
  user: string;
}

export interface SideRow {
  average_active_sessions: number;
  /** Most sessions of it in one tick, as far as it is listed; null: sums do not tell. */
  max_sessions: number | null;
  /** Session samples: sessions seen, over all ticks. */
  samples: number;
  /** Of all samples of the range that fit, 0 to 1. */
  share: number;
}

export interface SpanRow {
  /** For whom, the one of most ticks first, at most five. */
  blocked_by: WhoRow[];
  /** At so many ticks it waited for another. */
  blocked_ticks: number;
  /** Most sessions that waited for it directly at one tick. */
  blocks: number;
  from: string;
  /** not_active: it was idle, or not there; not_seen: nobody looked, or the server did not answer. */
  kind: "sampled" | "not_active" | "not_seen";
  query: string | null;
  query_id: string | null;
  /** As of the first tick: the same statement may have been run again since. */
  query_start: string | null;
  /** Null, as all that follows but blocks: it is not sampled. */
  state: string | null;
  /** Answered ticks. */
  ticks: number;
  to: string;
  wait_class: string | null;
  wait_event: string | null;
  wait_event_type: string | null;
  xact_start: string | null;
}

export interface StorageBody {
  at: string;
  /** Sum of what is known of the tables listed. */
  bytes_per_day: number;
  /** All of stats_db. */
  database_bytes: number;
  /** The largest first. */
  tables: StoredRow[];
  /** Of the tables listed. */
  total_bytes: number;
}

export interface StoredRow {
  /** From partitions whose time is over; of the newest so far, where there is no other. */
  bytes_per_day: number | null;
  /** When the oldest partition is due to be dropped; it is done within the hour. */
  drops_at: string | null;
  heap_bytes: number;
  index_bytes: number;
  /** Until when. */
  newest: string | null;
  /** From when on partitions hold something; null: nothing is held, or there are none. */
  oldest: string | null;
  /** 0: it has none, and is a dictionary or the like. */
  partitions: number;
  /** How long what a partition holds is kept after its end; 0: for ever; null: no limit, or the collector has not said it yet. */
  retention_seconds: number | null;
  rows_estimated: number;
  /** Of rollups, the width of a bucket; each step is a row. Null: not a rollup by step. */
  step_seconds: number | null;
  /** Table of the schema history; report has views of it. */
  table: string;
  toast_bytes: number;
  total_bytes: number;
}

export interface StreamTick {
  /** Those that are not idle, by pid; null: they were not asked for. Statements are cut after 4 KiB, sooner where there are many. */
  activity: SessionNow[] | null;
  at: string;
  /** Client backends by state, the monitor's own left out; empty: none are known. */
  connections: Record<string, number>;
  /** Who waits for whom; null: it was not asked for. */
  edges: EdgeRow[] | null;
  /** Sessions of which the monitoring user may see nothing. */
  hidden: number;
  /** Why the server was not seen; then nothing else is known. Null: it was. */
  problem: string | null;
  /** What holds others up: at most twenty, the one with the most behind it first. */
  roots: RootRow[];
  /** Sessions that are load, by wait class. */
  sessions: ClassCounts;
  /** Sessions with track_activities off, idle ones too: what they run is not told, nor before PostgreSQL 14 whether they are idle. */
  untracked: number;
  /** Sessions that wait for another. */
  waiting: number;
}

export interface TestBody {
  duration_seconds: number;
  findings: FindingRow[];
  /** What the host shows over SSH; null: it was not asked, or did not answer. */
  host_key: HostKeyRow | null;
  /** True: a standby. */
  in_recovery: boolean | null;
  /** Nothing that matters is missing. */
  ok: boolean;
  version: string | null;
}

export interface TopBody {
  answered_ticks: number;
  /** Null: no tick was answered. */
  average_active_sessions: number | null;
  by: string;
  coverage: CoverageRow;
  /** As answered: wider than asked where nothing finer is kept. */
  from: string;
  /** The coarsest sums that the answer was made from. */
  grain: "tick" | "minute" | "10minute" | "hour" | "day";
  /** What is not in rows. */
  other: OtherRow;
  /** Of what is not in rows, as there. */
  other_by_wait_class: LoadRow | null;
  /** The most frequent first. */
  rows: TopRow[];
  /** Session samples that fit. */
  samples: number;
  server: string;
  to: string;
}

export interface TopPart {
  answered_ticks: number;
  /** Null: no tick was answered. */
  average_active_sessions: number | null;
  coverage: CoverageRow;
  /** As answered: wider than asked where nothing finer is kept. */
  from: string;
  /** The coarsest sums that the answer was made from. */
  grain: "tick" | "minute" | "10minute" | "hour" | "day";
  /** What is not in rows. */
  other: OtherRow;
  /** Session samples that fit. */
  samples: number;
  to: string;
}

export interface TopRow {
  average_active_sessions: number;
  /** Average active sessions by wait class, with split; null: not asked for, or sums were taken that do not tell. */
  by_wait_class: LoadRow | null;
  /** What it is called, of a query its query_id; null: none (no query, no database, a Unix socket). */
  key: string | null;
  /** Most sessions of it in one tick, as far as it is listed; null: sums do not tell. */
  max_sessions: number | null;
  /** As the server's query texts are kept; null: not known. */
  query: string | null;
  /** As text, for it does not fit a JavaScript number. */
  query_id: string | null;
  /** query_id is pgam's fingerprint, not PostgreSQL's. */
  query_id_is_own: boolean;
  /** Session samples: sessions seen, over all ticks. */
  samples: number;
  /** Of all samples of the range that fit, 0 to 1. */
  share: number;
  /** Of a wait event. */
  wait_class: string | null;
}

export interface UseSum {
  databases: number;
  /** Of those whose size is known. */
  size_bytes: number;
}

export interface UserPage {
  items: UserRow[];
  /** Null: this is the last page. */
  next_cursor: string | null;
}

export interface UserRow {
  /** False: may not log in. */
  active: boolean;
  created_at: string;
  /** Null: never. */
  last_login_at: string | null;
  role: "viewer" | "operator" | "admin";
  username: string;
}

export interface WaiterRow {
  session: WhoRow;
  waited_seconds: number;
}

export interface WhoRow {
  application: string | null;
  /** With pid it names a backend; of a prepared transaction, when it was prepared. */
  backend_start: string | null;
  backend_type: string | null;
  client_addr: string | null;
  database: string | null;
  /** 0: a prepared transaction; null: not seen, or who it is is not known. */
  pid: number | null;
  /** Identifier of a prepared transaction; null: it is a session. */
  prepared_transaction: string | null;
  user: string | null;
}

export interface XminRow {
  holder: "session" | "prepared_transaction" | "replication_slot" | "standby";
  /** Of the transaction, slot or standby; of a session its application. */
  name: string;
  /** Null: it is no session. */
  pid: number | null;
  sampled_at: string;
  /** Transactions since its xmin. */
  xmin_age: number;
}
