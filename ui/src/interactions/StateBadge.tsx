import { Badge } from '@mantine/core';

/** How an interaction ended, in its colour. */
export function StateBadge({ state }: { state: string }) {
  const color =
    { complete: 'teal', length: 'yellow', error: 'red', aborted: 'red', cancelled: 'gray.6' }[state] ??
    'blue';
  return (
    <Badge color={color} variant="dot" size="sm" tt="none">
      {state}
    </Badge>
  );
}
