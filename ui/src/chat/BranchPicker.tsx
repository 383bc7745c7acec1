import { ActionIcon, Group, Text } from '@mantine/core';
import { IconChevronLeft, IconChevronRight } from '@tabler/icons-react';
import { siblings } from './conversation';
import { useChat } from './store';
import type { Pane, Turn } from './types';

/** Which of several turns at one place is shown; nothing where there is one. */
export function BranchPicker({ pane, turn }: { pane: Pane; turn: Turn }) {
  const choose = useChat((state) => state.choose);
  const all = siblings(pane, turn.id);
  const at = all.indexOf(turn.id);
  if (all.length < 2) return null;
  return (
    <Group gap={0} wrap="nowrap">
      <ActionIcon
        variant="subtle"
        color="gray"
        size="md"
        aria-label="Previous version"
        disabled={at === 0}
        onClick={() => choose(pane.id, all[at - 1]!)}
      >
        <IconChevronLeft size={16} />
      </ActionIcon>
      <Text size="xs" style={{ fontVariantNumeric: 'tabular-nums' }}>
        {at + 1} / {all.length}
      </Text>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="md"
        aria-label="Next version"
        disabled={at === all.length - 1}
        onClick={() => choose(pane.id, all[at + 1]!)}
      >
        <IconChevronRight size={16} />
      </ActionIcon>
    </Group>
  );
}
