"""Every record version after the first, in the order in which they were shipped. Nothing here is ever changed or removed.

To ship one: change the fact's class in `shared/domain/records` to what it says from now on, add the `RecordVersion`
here with the next free level, its golden bytes to the tests, and raise `FOLD_VERSION` where folds decide otherwise.
`docs/how-to/operate.md` says how it is rolled out.
"""

from shared.bus.upcasters import RecordVersions

RECORD_VERSIONS = RecordVersions(())
"""Every type is at version 1 today."""
