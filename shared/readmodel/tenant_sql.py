"""Every statement of the tenant API, by name. `{rm}` is the schema of a generation; $1 is always the tenant.

Row-level security names the tenant once more. Filters are columns in btree indexes led by tenant_id, compared with
leakproof operators only: anything else would be checked row by row under row-level security.
"""

SESSION = """
SELECT set_config('upshot.tenant', $1, true), generation, fold_version FROM readmodel.current
"""

TENANT = """
SELECT tenant_id, name, plan, created_at, version, workflows_max, runs_per_month_max FROM {rm}.tenants
WHERE tenant_id = $1
"""

MONTHS = "SELECT month, runs FROM {rm}.monthly_runs WHERE tenant_id = $1 ORDER BY month DESC LIMIT $2"

_EVENT = """
SELECT tenant_id, event_id, type, source, subject, time, recorded_at, partition, "offset", bytes, correlation_id,
       causation_id
FROM {rm}.events
"""
EVENT = _EVENT + "WHERE tenant_id = $1 AND event_id = $2"
KNOWN_EVENTS = "SELECT event_id FROM {rm}.events WHERE tenant_id = $1 AND event_id = ANY($2::text[])"
EVENTS = _EVENT + "WHERE tenant_id = $1 {filters} ORDER BY recorded_at DESC, event_id DESC LIMIT {limit}"
EVENTS_FILTERS = {
    "type": "AND type = {0}",
    "source": "AND source = {0}",
    "since": "AND recorded_at >= {0}",
    "until": "AND recorded_at < {0}",
    "cursor": "AND (recorded_at, event_id) < ({0}, {1})",
}

_RUN_COLUMNS = """
tenant_id, run_id, workflow_id, workflow_name, revision, status, reason_kind, reason, event_id, event_type,
event_subject, replay_id, requested_by, requested_at, started_at, ended_at"""
_RUN = "SELECT" + _RUN_COLUMNS
RUN = (
    _RUN
    + """, partition, positions, correlation_id, causation_id, traceparent, summary
FROM {rm}.runs WHERE tenant_id = $1 AND run_id = $2
"""
)
RUNS = (
    _RUN
    + """ FROM {rm}.runs
WHERE tenant_id = $1 {filters} ORDER BY requested_at DESC, run_id DESC LIMIT {limit}
"""
)
RUNS_FILTERS = {
    "workflow_id": "AND workflow_id = {0}",
    "status": "AND status = {0}",
    # Spelled out, so that the partial index over what has not succeeded applies.
    "unsuccessful_status": "AND status = {0} AND status <> 'succeeded'",
    "since": "AND requested_at >= {0}",
    "cursor": "AND (requested_at, run_id) < ({0}, {1})",
}
# $2 is the id of the event's own match, $3 the event's: only replays are found by that.
RUNS_OF_EVENT = "".join(
    (
        "SELECT * FROM (",
        *(_RUN, " FROM {rm}.runs WHERE tenant_id = $1 AND match_id = $2 UNION ALL "),
        *(_RUN, " FROM {rm}.runs WHERE tenant_id = $1 AND event_id = $3 AND replay_id IS NOT NULL"),
        ") AS found ORDER BY requested_at, run_id LIMIT $4",
    )
)
RUNS_OF_MATCH = _RUN + " FROM {rm}.runs WHERE tenant_id = $1 AND match_id = $2 ORDER BY requested_at, run_id LIMIT $3"

_APPROVAL = """
SELECT tenant_id, approval_id, run_id, workflow_id, workflow_name, status, requested_at, expires_at, roles, quorum,
       self_approval, author, subject_hash, decisions, decided_at, decided_by
FROM {rm}.approvals
"""
APPROVAL = _APPROVAL + "WHERE tenant_id = $1 AND approval_id = $2"
APPROVALS = _APPROVAL + "WHERE tenant_id = $1 {filters} ORDER BY requested_at DESC, approval_id DESC LIMIT {limit}"
APPROVALS_FILTERS = {
    "status": "AND status = {0}",
    "decided_by": "AND EXISTS (SELECT FROM json_array_elements_text(roles) AS role WHERE role = ANY({0}::text[]))",
    "cursor": "AND (requested_at, approval_id) < ({0}, {1})",
}

_WORKFLOW = """
SELECT workflow.tenant_id, workflow.workflow_id, workflow.name, workflow.enabled, workflow.archived, newest.revision,
       newest.document, newest.steps, newest.high_risk, newest.author, newest.saved_at
FROM {rm}.workflows AS workflow
JOIN {rm}.workflow_revisions AS newest
  ON (newest.tenant_id, newest.workflow_id, newest.revision)
   = (workflow.tenant_id, workflow.workflow_id, workflow.revision)
"""
WORKFLOW = _WORKFLOW + "WHERE workflow.tenant_id = $1 AND workflow.workflow_id = $2"
WORKFLOW_NAMED = _WORKFLOW + "WHERE workflow.tenant_id = $1 AND workflow.archived = false AND workflow.name = $2"
WORKFLOWS = _WORKFLOW + "WHERE workflow.tenant_id = $1 {filters} ORDER BY name, workflow_id LIMIT {limit}"
WORKFLOWS_FILTERS = {
    "archived": "AND workflow.archived = {0}",
    "enabled": "AND workflow.enabled = {0}",
    "cursor": "AND (workflow.name, workflow.workflow_id) > ({0}, {1})",
}

_REVISION = """
SELECT tenant_id, workflow_id, revision, document, steps, high_risk, author, saved_at FROM {rm}.workflow_revisions
WHERE tenant_id = $1 AND workflow_id = $2
"""
REVISION = _REVISION + "AND revision = $3"
# Without their documents: a page of these would be a page of everything.
REVISIONS = """
SELECT tenant_id, workflow_id, revision, author, saved_at, changes FROM {rm}.workflow_revisions
WHERE tenant_id = $1 {filters} ORDER BY revision DESC LIMIT {limit}
"""
REVISIONS_FILTERS = {"workflow_id": "AND workflow_id = {0}", "cursor": "AND revision < {0}"}

_SOURCE = "SELECT tenant_id, source_id, name, vendor, settings, secrets, created_at FROM {rm}.sources "
SOURCE = _SOURCE + "WHERE tenant_id = $1 AND source_id = $2"
SOURCES = _SOURCE + "WHERE tenant_id = $1 {filters} ORDER BY name, source_id LIMIT {limit}"
SOURCES_FILTERS = {"cursor": "AND (name, source_id) > ({0}, {1})"}

_ENDPOINT = """
SELECT tenant_id, endpoint_id, name, url, secrets, created_at, revision, disabled_reason FROM {rm}.endpoints
"""
ENDPOINT = _ENDPOINT + "WHERE tenant_id = $1 AND endpoint_id = $2"
ENDPOINTS = _ENDPOINT + "WHERE tenant_id = $1 {filters} ORDER BY name, endpoint_id LIMIT {limit}"
ENDPOINTS_FILTERS = {"cursor": "AND (name, endpoint_id) > ({0}, {1})"}

COMMAND = """
SELECT topic, payload_hash, status, body, decided_at FROM {rm}.commands
WHERE tenant_id = $1 AND command_id = $2 AND topic = ANY($3::text[]) ORDER BY decided_at DESC LIMIT 1
"""
