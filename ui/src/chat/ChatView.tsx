import { ActionIcon, Alert, Group, Tooltip } from '@mantine/core';
import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { IconCode, IconColumns2, IconShare3 } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import classes from './Chat.module.css';
import { CodeDialog } from './CodeDialog';
import { Composer } from './Composer';
import { isRunning, path } from './conversation';
import { PaneView } from './PaneView';
import { ShareDialog } from './ShareDialog';
import { useChat } from './store';
import type { Chat } from './types';
import { MAX_PANES } from './types';

interface ChatViewProps {
  chat: Chat;
  draft?: string;
  unreadableLink?: boolean;
  isNew?: boolean;
}

/** The panes beside each other, and below them the one place to write to all of them. */
export function ChatView({ chat, draft: shared = '', unreadableLink, isNew }: ChatViewProps) {
  const { send, stop, addPane } = useChat();
  const navigate = useNavigate();
  const [draft, setDraft] = useState(shared);
  const [code, { open: openCode, close: closeCode }] = useDisclosure(false);
  const [share, { open: openShare, close: closeShare }] = useDisclosure(false);
  const running = chat.panes.some((pane) => path(pane).some(isRunning));

  useHotkeys(
    [
      // In a dialog, Escape closes that.
      ['Escape', () => running && !document.querySelector('[role=dialog]') && stop()],
    ],
    [],
  );

  const submit = (text: string, images: string[]) => {
    send(text, images);
    setDraft('');
    if (isNew) {
      void navigate({
        to: '/projects/$project/chat/$chat',
        params: { project: chat.project, chat: chat.id },
        replace: true,
      });
    }
  };

  const panes = useRef<HTMLDivElement>(null);
  // The button goes to the new column, where the keyboard would not follow it.
  const compare = () => {
    flushSync(addPane);
    panes.current?.lastElementChild?.querySelector('input')?.focus();
  };

  const tools = (
    <Group gap={2} wrap="nowrap">
      <Tool label="View as code" icon={IconCode} onClick={openCode} />
      <Tool label="Share by link" icon={IconShare3} onClick={openShare} />
      <Tool
        label={chat.panes.length < MAX_PANES ? 'Compare: add a column' : `At most ${MAX_PANES} columns`}
        icon={IconColumns2}
        onClick={compare}
        disabled={chat.panes.length >= MAX_PANES}
      />
    </Group>
  );

  return (
    <div className={classes.chat}>
      {unreadableLink && (
        <Alert color="yellow" m="sm">
          The link could not be read; perhaps it was cut. This is an empty chat.
        </Alert>
      )}
      <div ref={panes} className={classes.panes} data-count={chat.panes.length}>
        {chat.panes.map((pane, index) => (
          <PaneView
            key={pane.id}
            pane={pane}
            project={chat.project}
            removable={chat.panes.length > 1}
            tools={index === chat.panes.length - 1 ? tools : null}
            onSuggest={setDraft}
          />
        ))}
      </div>
      <Composer
        chat={chat}
        draft={draft}
        onDraft={setDraft}
        running={running}
        onSend={submit}
        onStop={stop}
      />
      <CodeDialog chat={chat} draft={draft} opened={code} onClose={closeCode} />
      <ShareDialog chat={chat} draft={draft} opened={share} onClose={closeShare} />
    </div>
  );
}

interface ToolProps {
  label: string;
  icon: typeof IconCode;
  onClick: () => void;
  disabled?: boolean;
}

export function Tool({ label, icon: Icon, onClick, disabled }: ToolProps) {
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={label}
        onClick={onClick}
        disabled={disabled}
      >
        <Icon size={19} stroke={1.7} />
      </ActionIcon>
    </Tooltip>
  );
}
