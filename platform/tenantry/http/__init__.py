"""HTTP for all slices: policy, problems, pages, headers, documentation."""
