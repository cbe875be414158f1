"""The tax ids of a customer: made with it or later, removed, and shown on its invoices."""

from __future__ import annotations

from billing.payments.stripe_sandbox.errors import missing
from billing.payments.stripe_sandbox.paging import EXPAND, listing, page
from billing.payments.stripe_sandbox.params import Choice, Hash, Params, Text
from billing.payments.stripe_sandbox.state import Object, State

_NAMES = """
    ad_nrt ae_trn al_tin am_tin ao_tin ar_cuit au_abn au_arn aw_tin az_tin ba_tin bb_tin bd_bin
    bf_ifu bg_uic bh_vat bj_ifu bo_tin br_cnpj br_cpf bs_tin by_tin ca_bn ca_gst_hst ca_pst_bc
    ca_pst_mb ca_pst_sk ca_qst cd_nif ch_uid ch_vat cl_tin cm_niu cn_tin co_nit cr_tin cv_nif de_stn
    do_rcn ec_ruc eg_tin es_cif et_tin eu_oss_vat eu_vat fo_vat gb_vat ge_vat gi_tin gn_nif hk_br
    hr_oib hu_tin id_npwp il_vat in_gst is_vat it_cf jp_cn jp_rn jp_trn ke_pin kg_tin kh_tin kr_brn
    kz_bin la_tin li_uid li_vat lk_vat ma_vat md_vat me_pib mk_vat mr_nif mx_rfc my_frp my_itn
    my_sst ng_tin no_vat no_voec np_pan nz_gst om_vat pe_ruc ph_tin pl_nip py_ruc ro_tin rs_pib
    ru_inn ru_kpp sa_vat sg_gst sg_uen si_tin sn_ninea sr_fin sv_nit th_vat tj_tin tr_tin tw_vat
    tz_vat ua_vat ug_tin us_ein uy_ruc uz_tin uz_vat ve_rif vn_tin za_vat zm_tin zw_tin
"""
TYPES = Choice(tuple(_NAMES.split()))
DATA = Hash({"type": TYPES, "value": Text()}, required=("type", "value"))
CREATE = Hash({"expand": EXPAND, "type": TYPES, "value": Text()}, required=("type", "value"))
DELETE = Hash({})
LIST = listing({})


def create(state: State, params: Params, customer: str) -> Object:
    _check_customer(state, customer)
    return add(state, customer, params)


def list_(state: State, params: Params, customer: str) -> Object:
    _check_customer(state, customer)
    return page(state.tax_ids, params, f"/v1/customers/{customer}/tax_ids", customer=customer)


def delete(state: State, params: Params, customer: str, id: str) -> Object:
    held = state.tax_ids.rows.get(id)
    if held is None or held["customer"] != customer:
        raise missing("tax_id", id, param="id", in_path=True)
    state.tax_ids.remove(id)
    state.emit("customer.tax_id.deleted", held)
    return {"id": id, "object": "tax_id", "deleted": True}


def add(state: State, customer: str, given: Params) -> Object:
    made = state.tax_ids.add(
        {
            "id": state.new_id("txi"),
            "object": "tax_id",
            "country": given["type"][:2].upper(),
            "created": state.now,
            "customer": customer,
            "customer_account": None,
            "livemode": False,
            "owner": {"type": "customer", "customer": customer},
            "type": given["type"],
            "value": given["value"],
            "verification": {"status": "unavailable", "verified_address": None, "verified_name": None},
        }
    )
    state.emit("customer.tax_id.created", made)
    return made


def shown(state: State, customer: str) -> list[Object]:
    """As an invoice shows them."""
    ids = state.tax_ids.by_customer.get(customer, [])
    held = [state.tax_ids.rows[id] for id in ids if id in state.tax_ids.rows]
    return [{"type": each["type"], "value": each["value"]} for each in held]


def _check_customer(state: State, id: str) -> None:
    if state.customers.get(id, param="customer", in_path=True).get("deleted"):
        raise missing("customer", id, param="customer", in_path=True)
