"""The API as part of a process: what it stands on is handed in whole, its routes come out."""

from services.api.api import ABOUT, routes
from services.api.service.ports import ApiDependencies
from shared.runtime.http import Route

__all__ = ["ABOUT", "ApiDependencies", "api_routes"]


def api_routes(dependencies: ApiDependencies) -> list[Route]:
    """The API's part of the process's route table."""
    return routes(dependencies)
