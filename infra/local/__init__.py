"""The local stack: real servers as child processes."""

from infra.local.port import Ports as Ports
from infra.local.process import Child as Child
from infra.local.process import Command as Command
from infra.local.stack import LocalStack as LocalStack
from infra.local.step import OnStep as OnStep
from infra.local.step import Step as Step
