"""The model server: runs beside a model in its instance, answers /ping and /invocations."""
