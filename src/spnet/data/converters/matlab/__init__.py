"""Strict reading of MATLAB 5 files, around scipy.

Own code, because `scipy.io.loadmat` trusts every size in a file, so that a damaged download can crash Python instead of
raising an error (`layout` checks the sizes first), and because it takes some 1 kB of memory for each entry of a struct
array, of which CUHK-SYSU's galleries have millions (`reader.stream_structs` reads one record at a time).
"""
