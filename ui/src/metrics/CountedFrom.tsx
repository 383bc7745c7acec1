import { Alert } from '@mantine/core';
import { when } from '../components/format';

/** That the server did not get to the beginning of the time. */
export function CountedFrom({ moment }: { moment: string | null | undefined }) {
  if (!moment) return null;
  return (
    <Alert color="yellow" py={6}>
      Counting took too long: only what was asked from {when(moment)} on is in these numbers. Choose a shorter
      time.
    </Alert>
  );
}
