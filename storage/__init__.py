"""Everything that rests: the nouns, the file formats, the folders and the remote stores."""
