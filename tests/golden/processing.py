def write_processing(folder, golden_root):
    pass
