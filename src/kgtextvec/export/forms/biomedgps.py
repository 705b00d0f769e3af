"""BioMedGPS: vectors for its trainer and its server, written by its own verbs."""

from kgtextvec.export.forms import ExportForm, template_beside

FORM = ExportForm("BioMedGPS", template_beside(__file__))
