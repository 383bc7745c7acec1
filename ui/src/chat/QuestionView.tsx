import { ActionIcon, Button, Group, Textarea, Tooltip } from '@mantine/core';
import { IconPencil } from '@tabler/icons-react';
import { memo, useState } from 'react';
import { CopyText } from '../components/CodeBlock';
import { BranchPicker } from './BranchPicker';
import classes from './Chat.module.css';
import { useChat } from './store';
import type { Pane, Turn } from './types';

interface QuestionViewProps {
  pane: Pane;
  turn: Turn;
}

/** What was asked. Edited, it begins a branch beside this one. */
export const QuestionView = memo(
  function QuestionView({ pane, turn }: QuestionViewProps) {
    const edit = useChat((state) => state.edit);
    const [draft, setDraft] = useState<string | null>(null);
    if (draft !== null) {
      const submit = () => {
        edit(pane.id, turn.id, draft);
        setDraft(null);
      };
      return (
        <div>
          <Textarea
            aria-label="Edit message"
            dir="auto"
            autosize
            minRows={2}
            maxRows={14}
            value={draft}
            autoFocus
            onChange={(event) => setDraft(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && draft.trim()) submit();
              if (event.key === 'Escape') setDraft(null);
            }}
          />
          <Group justify="flex-end" gap="xs" mt="xs">
            <Button size="compact-sm" variant="default" onClick={() => setDraft(null)}>
              Cancel
            </Button>
            <Button size="compact-sm" disabled={!draft.trim()} onClick={submit}>
              Send as a branch
            </Button>
          </Group>
        </div>
      );
    }
    return (
      <div className={classes.question}>
        {turn.images && (
          <div className={classes.images}>
            {turn.images.map((image) => (
              <img key={image} src={image} alt="Sent with the message" />
            ))}
          </div>
        )}
        {turn.text && (
          <div className={classes.bubble} dir="auto">
            {turn.text}
          </div>
        )}
        <div className={classes.actions}>
          <BranchPicker pane={pane} turn={turn} />
          <CopyText value={turn.text} label="Copy message" />
          <Tooltip label="Edit">
            <ActionIcon
              variant="subtle"
              color="gray"
              size="md"
              aria-label="Edit"
              onClick={() => setDraft(turn.text)}
            >
              <IconPencil size={16} stroke={1.7} />
            </ActionIcon>
          </Tooltip>
        </div>
      </div>
    );
  },
  (before, after) => before.turn === after.turn && before.pane.children === after.pane.children,
);
