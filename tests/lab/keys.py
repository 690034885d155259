"""Keys that can be announced, in their normal form, for property tests."""

from hypothesis import strategies as st

from uwsgi_router.protocol.key import key_fault, normal_key

_FIT = [byte for byte in range(0x21, 0x100) if byte != 0x7F]


def normal_keys(max_size: int = 255) -> st.SearchStrategy[bytes]:
    fit = st.lists(st.sampled_from(_FIT), min_size=1, max_size=max_size).map(bytes)
    return fit.filter(lambda key: key_fault(key) is None).map(normal_key)
