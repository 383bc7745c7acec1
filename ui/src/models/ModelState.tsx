import { Badge, Loader } from '@mantine/core';
import type { Model } from './queries';

const STATES: Record<Model['state'], { label: string; color: string }> = {
  ONLINE: { label: 'online', color: 'teal' },
  PENDING: { label: 'loading', color: 'blue' },
  OFFLINE: { label: 'offline', color: 'gray.6' },
  ERROR: { label: 'failed', color: 'red' },
};

/** Whether a model answers. */
export function ModelState({ model }: { model: Model }) {
  const { label, color } = STATES[model.state];
  return (
    <Badge
      color={color}
      variant="dot"
      tt="none"
      miw="max-content"
      leftSection={model.state === 'PENDING' ? <Loader size={10} color={color} /> : null}
    >
      {label}
    </Badge>
  );
}
