"""`python -m archestra_gateway` is `archestra-gateway`."""

from archestra_gateway.cli import main

if __name__ == "__main__":
    main()
