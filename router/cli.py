def main(a): 
    import router; print(router.__file__, a); return 0
