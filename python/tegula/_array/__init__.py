"""The class `tegula.Array` and its parts."""
