import sys

from quintile_snowflake.cli import main

sys.exit(main())
