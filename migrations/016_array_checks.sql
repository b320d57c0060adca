-- Arrays of one row belong together, element by element: whoever reads them
-- counts on it. What is stored already is not read again for this (not valid):
-- it may be much, and readers look for themselves.

alter table history.activity_window
    add constraint activity_window_ticks check (
        cardinality(tick_duration_us) = cardinality(tick_offset_ms)
        and cardinality(tick_backends) = cardinality(tick_offset_ms)
        and (tick_outcome is null) = (tick_reason is null)
        and (tick_outcome is null or cardinality(tick_outcome) = cardinality(tick_offset_ms))
        and (tick_reason is null or cardinality(tick_reason) = cardinality(tick_offset_ms))
        and (tick_burst is null or cardinality(tick_burst) = cardinality(tick_offset_ms))) not valid,
    add constraint activity_window_samples check (
        cardinality(sample_session) = cardinality(sample_tick)
        and cardinality(sample_wait) = cardinality(sample_tick)
        and cardinality(sample_query) = cardinality(sample_tick)
        and cardinality(sample_query_start_ms) = cardinality(sample_tick)
        and cardinality(sample_xact_lead_ms) = cardinality(sample_tick)
        and (sample_state_lag_ms is null or cardinality(sample_state_lag_ms) = cardinality(sample_tick))
        and (sample_xmin_age is null or cardinality(sample_xmin_age) = cardinality(sample_tick))
        and (sample_blocker is null or cardinality(sample_blocker) = cardinality(sample_tick))
        and 1 <= all (sample_tick)
        and cardinality(tick_offset_ms) >= all (sample_tick)) not valid,
    add constraint activity_window_edges check (
        coalesce(cardinality(edge_blocked), 0) = coalesce(cardinality(edge_tick), 0)
        and coalesce(cardinality(edge_blocker), 0) = coalesce(cardinality(edge_tick), 0)
        and coalesce(cardinality(edge_lock), 0) = coalesce(cardinality(edge_tick), 0)
        and (edge_tick is null or 1 <= all (edge_tick) and cardinality(tick_offset_ms) >= all (edge_tick))) not valid;

alter table history.activity_rollup
    add constraint activity_rollup_keys check (
        cardinality(key_samples) = cardinality(keys)
        and cardinality(key_peaks) = cardinality(keys)) not valid;

---- create above / drop below ----

alter table history.activity_rollup drop constraint activity_rollup_keys;
alter table history.activity_window
    drop constraint activity_window_edges,
    drop constraint activity_window_samples,
    drop constraint activity_window_ticks;
