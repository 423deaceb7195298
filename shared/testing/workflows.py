"""Saved workflows and their tenant without a log: what the pure parts that match and try workflows are handed."""

from collections.abc import Mapping
from datetime import UTC, datetime

from shared.domain.definitions import Endpoint, Revision, Tenant, Workflow
from shared.domain.ids import derive
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import parse_document

SAVED_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def tenant_with(*endpoints: str, tenant_id: str = "acme") -> Tenant:
    """A tenant with endpoints of these names."""
    tenant = Tenant(id=tenant_id, name=tenant_id, plan="standard", created_at=SAVED_AT)
    for name in endpoints:
        tenant.put_endpoint(
            Endpoint(
                id=derive("endpoint", tenant_id, name),
                tenant_id=tenant_id,
                name=name,
                url=f"https://{name}.example/hook",
                secrets=("sealed",),
                created_at=SAVED_AT,
            )
        )
    return tenant


def save(tenant: Tenant, document: Mapping[str, object], catalogue: Catalogue, author: str = "ann") -> Workflow:
    """The document checked and put to the tenant's others: a new workflow, or the next revision where the name is known."""
    parsed = parse_document(document)
    checked = check_document(parsed, catalogue)
    known = tenant.workflow_named(parsed.name)
    former = known.revisions if known is not None else ()
    revision = Revision(
        number=len(former) + 1,
        document=checked.document,
        steps=checked.steps,
        high_risk=checked.high_risk,
        author=author,
        saved_at=SAVED_AT,
    )
    workflow = Workflow(
        id=derive("workflow", tenant.id, parsed.name),
        tenant_id=tenant.id,
        name=parsed.name,
        enabled=True,
        revisions=(*former, revision),
    )
    tenant.put_workflow(workflow)
    return workflow
