"""The words of the command line. Nothing heavy is imported here, so that --help answers at once."""

import argparse
import sys
from typing import NoReturn, TextIO

from ...runs.config import VERSION
from ...runs.printing import say

ABOUT = """Differentiable architecture search from a shell: the calls of the notebooks, for long runs.

  gdas-lite search nasbench201 --algorithm gdas --data cifar10 --recipe paper --seed 0 --out runs/a
  gdas-lite train runs/a --data cifar10 --recipe paper
  gdas-lite info GDAS_V1

A run writes its folder after every epoch; Ctrl-C stops at the end of a step, `gdas-lite resume RUN` goes on."""
PUBLISHED = ("nasbench201", "nasnet", "recurrent")     # spaces of the zoo and of the published tables
INTERRUPTED = 130       # what a shell expects of a program that Ctrl-C ended
CELL = "architecture string or genotype in another notation, file of one, zoo name, NATS-Bench index, or run folder"


class Parser(argparse.ArgumentParser):
    """Errors are one sentence, as those of the commands."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):     # --epochs 5, as other kits have it
            message += "; fields of a recipe are set by --set epochs=5, those of a space or network by --with cells=8"
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")

    def _print_message(self, message: str, file: TextIO | None = None) -> None:
        say(message, file or sys.stderr, end="")


def build_parser() -> Parser:
    """The parser of all commands; `command` in its result is the command's name."""
    parser = Parser(prog="gdas-lite", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"gdas-lite {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for add in (_search, _resume, _train, _evaluate, _export, _info, _draw, _zoo, _reproduce, _bench):
        add(commands)
    commands.add_parser("doctor", help="what is installed here, what runs how, and how to mend what is missing")
    return parser


def _registered(module: str, registry: str, own: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names in a registry. Where its module is not loaded, nobody has registered more than our own."""
    loaded = sys.modules.get(f"gdas_lite.{module}")
    return tuple(getattr(loaded, registry, own))


def _search(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("search", help="search a cell")
    parser.add_argument("space", choices=_registered("spaces", "SPACES", PUBLISHED))
    algorithms = _registered("search.algorithms", "ALGORITHMS", ("gdas", "darts-v1", "darts-v2", "random"))
    parser.add_argument("--algorithm", choices=algorithms, default="gdas")
    _data(parser)
    _run(parser, "smoke, lesson, laptop or paper", several="0..7 or 0,3,5: one search each, in run folders of their "
         "own, and a table at the end; processes of torchrun take them in turn")
    _size(parser, "the space")
    parser.add_argument("--bn", choices=("batch", "running"),
                        help="statistics of batch norm in the search cells: of the batch (default), or running "
                             "estimates (AutoDL-Projects' argument BN, 0 or 1)")
    parser.add_argument("--stop-when", metavar="RULE",
                        help="stop early: skips=2 (the cell has two skip_connect; skips=2,after=5 looks from alpha's "
                             "sixth epoch on), ranking=10 (alpha's ranking unchanged for ten epochs)")
    parser.add_argument("--tau", nargs=2, type=float, metavar=("MAX", "MIN"), help="GDAS' temperatures (10 0.1)")
    parser.add_argument("--variant", choices=("P", "N"), help="GDAS' gradient rule (nasbench201 N, the others P)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    _engine(parser)


def _resume(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("resume", help="go on with a search or training")
    parser.add_argument("run", metavar="RUN", help="run folder")
    _data(parser, "default: the data set that the run names")
    _device(parser)
    _engine(parser)


def _train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("train", help="train the network of a cell")
    parser.add_argument("cell", metavar="CELL", help=CELL)
    _data(parser)
    _run(parser, "smoke, lesson, paper; nasbench201 also paper-12; nasnet also paper-autodl, paper-darts, "
                 "paper-imagenet, paper-imagenet-autodl, paper-imagenet-darts")
    _size(parser, "the network")
    parser.add_argument("--train-on", choices=("train", "train_half"), default=None,
                        help="all training images (default), or the half that searches train on")
    parser.add_argument("--evaluate-every", type=int, metavar="N", help="epochs between evaluations (1)")
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    parser.add_argument("--sync-batch-norm", action="store_true", default=None, help="with torchrun: statistics of the "
                        "whole batch")
    parser.add_argument("--more", type=int, metavar="EPOCHS", help="CELL is the run folder of a finished training: go "
                        "on for so many epochs in a new folder (--out; default: CELL-moreEPOCHS); its schedule begins "
                        "anew")


def _evaluate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("evaluate", help="score a trained network")
    parser.add_argument("run", metavar="RUN", help="run folder of a training, or exported network")
    _data(parser, "default: the data set that it was trained on")
    _device(parser)


def _export(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("export", help="write a trained network as safetensors and JSON")
    parser.add_argument("run", metavar="RUN", help="run folder of a training")
    parser.add_argument("folder", metavar="FOLDER", help="new, empty, or an older export that is replaced")
    parser.add_argument("--program", action="store_true",
                        help="also a torch.export program, to run without this package")


def _info(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("info", help="size, cost and known accuracies of a cell")
    parser.add_argument("cell", metavar="CELL", help=CELL)
    _size(parser, "the network")
    parser.add_argument("--classes", type=int, help="default 10; 1000 with --with stem=imagenet")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="default 32; 224 with --with stem=imagenet")
    parser.add_argument("--image-channels", type=int, metavar="N", help="default 3")
    parser.add_argument("--table", metavar="PATH", help="another NAS-Bench-201 table to look the cell up in")


def _draw(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("draw", help="draw a cell")
    parser.add_argument("cell", metavar="CELL", help=CELL)
    parser.add_argument("-o", "--out", metavar="FILE", help="name.svg, .png, .pdf or .dot (default: cell.svg)")
    parser.add_argument("--probabilities", action="store_true", help="of a search: softmax(alpha) on the edges")
    parser.add_argument("--title", default="")


def _zoo(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("zoo", help="list the published cells")
    parser.add_argument("--space", choices=PUBLISHED)


def _reproduce(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("reproduce", help="published tables beside what your runs have measured")
    parser.add_argument("runs", metavar="RUNS", nargs="*", default=["runs"],
                        help="run folders, or folders of them (runs)")
    parser.add_argument("--source", metavar="TEXT", help="only numbers of this source, such as 'GDAS paper, table 1'")
    parser.add_argument("--space", choices=PUBLISHED)
    parser.add_argument("--data", metavar="NAME", help="only numbers on this data set")
    parser.add_argument("--commands", action="store_true", help="the commands that make the numbers, not the table")
    parser.add_argument("--cost", action="store_true", help="the commands, each with its time here, measured")
    parser.add_argument("--table", metavar="PATH", help="another NAS-Bench-201 table to look found cells up in")
    _device(parser)


def _bench(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("bench", help="seconds a step here; time and memory of each published protocol")
    parser.add_argument("words", metavar="WORD", nargs="*", help="only protocols with all these words in their name")
    parser.add_argument("--quick", action="store_true", help="one step of a few protocols, a minute or two")
    parser.add_argument("--limit", type=float, default=120, metavar="SECONDS", help="for one protocol (120)")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of the table")
    _device(parser)


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")


def _engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", metavar="NAME", default="auto",
                        help="of a search: plain (PyTorch as it is written), layers (own backward passes), cpu, cuda "
                             "(compiled kernels), or auto, what pays here (default)")


def _data(parser: argparse.ArgumentParser, default: str = "default: digits; recurrent: grammar") -> None:
    parser.add_argument("--data", metavar="NAME_OR_FOLDER",
                        help="digits, thumbnails, cifar10, cifar10-valid, cifar10-darts, cifar100, imagenet16-120, "
                             "imagenet, a folder of class folders; grammar, ptb, wikitext-2, a text file "
                             f"({default})")
    parser.add_argument("--data-root", metavar="PATH",
                        help="where the data set's files are (GDAS_LITE_DATA, TORCH_HOME)")
    parser.add_argument("--data-option", action="append", default=[], metavar="NAME=VALUE",
                        help="of your own folders and texts: image_size, grey, test_fraction, on_error, streamed, "
                             "num_workers, upright, held_out, max_words; of imagenet also lineage, lighting_scale")
    parser.add_argument("--download", action="store_true", help="get CIFAR if it is not there (170 MB)")


def _run(parser: argparse.ArgumentParser, recipes: str, several: str = "") -> None:
    parser.add_argument("--recipe", default="lesson", metavar="SIZE", help=f"{recipes} (lesson)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="changes",
                        help="change a field of the recipe, e.g. epochs=5; may be repeated")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, default=0, help="0; -1 draws one from 1 to 100000")
    if several:
        seeds.add_argument("--seeds", metavar="SEEDS", help=several)
    parser.add_argument("--out", metavar="RUN", help="run folder; gone on with if it holds the same run "
                                                     "(default: runs/ and a name made of the settings)")
    _device(parser)


def _size(parser: argparse.ArgumentParser, of: str) -> None:
    parser.add_argument("--channels", type=int, metavar="C")
    parser.add_argument("--cells-per-stage", type=int, metavar="N", help="nasbench201")
    parser.add_argument("--cells", type=int, metavar="N", help="nasnet")
    parser.add_argument("--hidden", type=int, metavar="H", help="recurrent")
    parser.add_argument("--with", action="append", default=[], metavar="FIELD=VALUE", dest="options",
                        help=f"any other setting of {of}, e.g. fixed_reduction=true; may be repeated")
