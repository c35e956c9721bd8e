"""`from_pretrained`, `save_pretrained` and `push_to_hub`, as every PyTorch model on the Hugging Face Hub has them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from huggingface_hub import ModelCard, PyTorchModelHubMixin

from spnet.config.schema import ModelConfig, PathwayName
from spnet.models.hub import (
    HUB_WEIGHTS,
    LIBRARY,
    PREFIX,
    HubName,
    download,
    hub_errors,
    name_or_path,
    write_hub_config,
)
from spnet.models.model_card import make_model_card

if TYPE_CHECKING:
    from spnet.models.spnet import SPNet


class HubMixin(PyTorchModelHubMixin, library_name=LIBRARY):
    """huggingface_hub's mixin with our weights files: strict, under a checksum, the architecture inside."""

    config: ModelConfig
    trained_pathway: PathwayName

    @classmethod
    def from_pretrained(  # type: ignore[override]  # what `model_kwargs` would change stands in the weights
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> "SPNet":
        """The network of weights by their name, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a folder (a finished run's, or one that `save_pretrained` made), a weights
                file, or `org/name` of a model on the hub, where no such path exists here.
            revision: a branch, a tag or a commit of a model on the hub; not given: `main`.
            force_download: fetch again what is in the cache.
            token: login of the hub; not given: that of `hf auth login`.
            cache_dir: the hub's cache; not given: as HF_HOME says.
            local_files_only: fetch nothing.

        Raises:
            UserError: nothing of this name, or not a network of this package, or not what was promised.
        """
        from spnet.models.checkpoints import load_network

        source = name_or_path(pretrained_model_name_or_path, revision)
        if isinstance(source, HubName):
            options = {"force_download": force_download, "token": token, "cache_dir": cache_dir}
            source = download(source, local_files_only=local_files_only, **options)
        return load_network(source)

    def _save_pretrained(self, save_directory: Path) -> None:
        from spnet.models.checkpoints import save_weights

        file = save_directory / HUB_WEIGHTS
        save_weights(file, cast("SPNet", self), self.trained_pathway)
        write_hub_config(file, self.config, self.trained_pathway)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload weights, configuration and model card in one commit; returns its address.

        Args:
            repo_id: `org/name`; made if it does not exist.
            options: of `PyTorchModelHubMixin.push_to_hub`, `private`, `branch` and `token` among them;
                `model_card_kwargs` has `license` and `runs` of `make_model_card`.

        Raises:
            UserError: the hub refuses, or cannot be reached.
        """
        options["model_card_kwargs"] = {"repo_id": repo_id, **(options.get("model_card_kwargs") or {})}
        with hub_errors(f"{PREFIX}{repo_id}"):
            return super().push_to_hub(repo_id, **options)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The model card; `kwargs` are those of `make_model_card`."""
        return make_model_card(self.config, self.trained_pathway, **kwargs)
