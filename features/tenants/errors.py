from tenantry.errors import Conflict, Forbidden, NotFound


class SlugTaken(Conflict):
    code = "tenant_slug_taken"
    title = "Another tenant has this slug"
    constraint = "uq_tenants_slug"


class TenantNotRestorable(Conflict):
    code = "tenant_not_restorable"
    title = "This tenant is not about to be deleted, or its time to be restored is over"


class StatusHinders(Conflict):
    code = "tenant_status_hinders"
    title = "The tenant's status does not allow this"


class OwnerRequired(Forbidden):
    code = "owner_required"
    title = "Only an owner of the tenant may do this"


class PersonNotFound(NotFound):
    code = "person_not_found"
    title = "Nobody has an account with this address"


class LastOwner(Conflict):
    code = "last_owner"
    title = "A tenant keeps at least one owner; make somebody else an owner first"
    constraint = "ck_memberships_last_owner"


class AlreadyAMember(Conflict):
    code = "already_a_member"
    title = "They are a member of this tenant already"
    constraint = "uq_memberships_tenant_id_subject_id"


class OwnerIsAPerson(Conflict):
    code = "owner_is_a_person"
    title = "Only a person can own a tenant"


class MemberNotFound(NotFound):
    code = "member_not_found"
    title = "The tenant has no such member"


class TenantNotFound(NotFound):
    code = "tenant_not_found"
    title = "There is no such tenant"
