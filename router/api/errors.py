"""Error for a wrong parameter of the Python API."""


class ParameterError(ValueError):
    """Error: a parameter has a value that can't be used.

    ``str()`` names the class, the method, the parameter, its value and what was expected:
    ``RouterFast.set_connections_params(timeout_socket='soon'): expected a number of seconds, for example 30 or 0.5``.

    Attributes:
        call: the class, with the method if it was one.
        parameter: its name.
        value: what was given.
        expected: what was expected.
    """

    def __init__(self, call: str, parameter: str, value: object, expected: str) -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 200 else shown[:200] + "…"
        super().__init__(f"{call}({parameter}={shown}): {expected}")
        self.call = call
        self.parameter = parameter
        self.value = value
        self.expected = expected
