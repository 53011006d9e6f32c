//! Blanks secrets in frames that are about to be shown or saved.
