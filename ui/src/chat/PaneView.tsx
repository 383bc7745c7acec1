import { Group } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconAdjustmentsHorizontal, IconX } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { lazy, Suspense, useMemo, useRef } from 'react';
import classes from './Chat.module.css';
import { Tool } from './ChatView';
import { path } from './conversation';
import { ModelPicker } from './ModelPicker';
import { useChat } from './store';
import { Thread } from './Thread';
import type { Pane } from './types';
import { Welcome } from './Welcome';

const SettingsDrawer = lazy(() =>
  import('./SettingsDrawer').then((module) => ({ default: module.SettingsDrawer })),
);

interface PaneViewProps {
  pane: Pane;
  project: string;
  removable: boolean;
  tools: ReactNode;
  onSuggest: (text: string) => void;
}

/** One conversation under the model that has it. */
export function PaneView({ pane, project, removable, tools, onSuggest }: PaneViewProps) {
  const { setSettings, removePane } = useChat();
  const [settings, { open, close }] = useDisclosure(false);
  const wasOpened = useRef(false);
  wasOpened.current ||= settings;
  const turns = useMemo(() => path(pane), [pane]);
  return (
    <section
      className={classes.pane}
      aria-label={`Conversation with ${pane.settings.model ?? 'the default model'}`}
    >
      <Group className={classes.head} justify="space-between" wrap="nowrap" gap="xs">
        <ModelPicker
          project={project}
          settings={pane.settings}
          onChange={(changed) => setSettings(pane.id, changed)}
        />
        <Group gap={2} wrap="nowrap">
          <Tool label="Settings of this chat" icon={IconAdjustmentsHorizontal} onClick={open} />
          {tools}
          {removable && <Tool label="Remove this column" icon={IconX} onClick={() => removePane(pane.id)} />}
        </Group>
      </Group>
      {turns.length ? (
        <Thread pane={pane} turns={turns} project={project} />
      ) : (
        <Welcome project={project} onSuggest={onSuggest} />
      )}
      <Suspense>
        {wasOpened.current && (
          <SettingsDrawer
            project={project}
            settings={pane.settings}
            onChange={(changed) => setSettings(pane.id, changed)}
            opened={settings}
            onClose={close}
          />
        )}
      </Suspense>
    </section>
  );
}
