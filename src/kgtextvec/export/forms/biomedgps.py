"""BioMedGPS: vectors for its trainer and its server, written by verbs of its own."""

from kgtextvec.export.forms import ExportForm, template_beside

FORM = ExportForm("BioMedGPS", template_beside(__file__))
