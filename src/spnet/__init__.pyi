from .config.io import override as override
from .config.presets import get_preset as get_preset
from .config.presets import list_presets as list_presets
from .config.schema import Augmentation as Augmentation
from .config.schema import BackboneConfig as BackboneConfig
from .config.schema import InferenceConfig as InferenceConfig
from .config.schema import ModelConfig as ModelConfig
from .config.schema import ObjectiveConfig as ObjectiveConfig
from .config.schema import RunConfig as RunConfig
from .errors import UserError as UserError
from .evaluation.arrays import EvaluationArrays as EvaluationArrays
from .evaluation.arrays import read_arrays as read_arrays
from .evaluation.detection import evaluate_detection as evaluate_detection
from .evaluation.protocols import read_protocols as read_protocols
from .evaluation.retrieval import evaluate as evaluate
from .evaluation.runner import evaluate_weights as evaluate_weights
from .gallery.gallery import Gallery as Gallery
from .gallery.results import Filter as Filter
from .gallery.results import Hit as Hit
from .gallery.results import SearchResult as SearchResult
from .inference.searcher import ImageDetections as ImageDetections
from .inference.searcher import Prediction as Prediction
from .inference.searcher import Ranking as Ranking
from .inference.searcher import Searcher as Searcher
from .losses.oim import OIM as OIM
from .losses.person_contrastive import PersonContrastiveMemory as PersonContrastiveMemory
from .models.checkpoints import load_network as load_network
from .models.hub import list_models as list_models
from .models.spnet import SPNet as SPNet
from .publish import push_run as push_run
from .training.fit import fit as fit
from .training.module import TrainingModule as TrainingModule
from .training.objective import SPNetLoss as SPNetLoss
from .training.trainer import build_trainer as build_trainer

__version__: str
__all__: list[str]
