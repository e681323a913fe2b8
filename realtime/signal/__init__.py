"""Pure arithmetic on arrays: filters, band powers, features, decoders."""
