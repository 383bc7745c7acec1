import { Alert, Button, Drawer, Group, Stack, Tabs, Text } from '@mantine/core';
import { IconMessageReply } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { saveChat } from '../chat/storage';
import { CodeBlock } from '../components/CodeBlock';
import { copyText } from '../components/copyText';
import { Loaded } from '../components/Loaded';
import { tell, tellError } from '../components/tell';
import { useMay, useMe } from '../shell/useProject';
import type { Filter } from './filter';
import { GraderTry } from './GraderTry';
import { InteractionFacts } from './InteractionFacts';
import { InteractionLabels } from './InteractionLabels';
import { InteractionScores } from './InteractionScores';
import { Messages } from './Messages';
import { type Interaction, interactionQuery } from './queries';
import { chatOf, loadImages } from './replay';
import { SessionOutcomes } from './SessionOutcomes';

interface InteractionDrawerProps {
  project: string;
  id?: string;
  onClose: () => void;
  /** Look at the interactions that share something with this one. */
  onNarrow: (filter: Filter) => void;
}

/** Everything that is stored about one answer. */
export function InteractionDrawer({ project, id, onClose, onNarrow }: InteractionDrawerProps) {
  const query = useQuery({ ...interactionQuery(project, id ?? ''), enabled: id !== undefined });
  return (
    <Drawer opened={id !== undefined} onClose={onClose} position="right" size="xl" title="Interaction">
      <Loaded query={query} failed="The interaction could not be read">
        {(interaction) => <Details project={project} interaction={interaction} onNarrow={onNarrow} />}
      </Loaded>
    </Drawer>
  );
}

interface DetailsProps {
  project: string;
  interaction: Interaction;
  onNarrow: (filter: Filter) => void;
}

function Details({ project, interaction, onNarrow }: DetailsProps) {
  const me = useMe();
  const navigate = useNavigate();
  const client = useQueryClient();
  const mayChat = useMay('completion:create');
  const replay = async () => {
    try {
      const chat = chatOf(interaction, me.key, await loadImages(interaction));
      await saveChat(chat);
      await client.invalidateQueries({ queryKey: ['chats'] });
      await navigate({ to: '/projects/$project/chat/$chat', params: { project, chat: chat.id } });
    } catch (error) {
      tellError(error, 'The chat could not be opened');
    }
  };
  const copyLink = async () => {
    try {
      await copyText(window.location.href);
      tell('The link is copied');
    } catch (cause) {
      tellError(cause, 'It was not copied');
    }
  };
  const { error, warnings } = interaction;
  return (
    <Stack>
      <Group gap="xs">
        {mayChat && (
          <Button size="xs" leftSection={<IconMessageReply size={15} />} onClick={replay}>
            Replay in chat
          </Button>
        )}
        <Button size="xs" variant="default" onClick={copyLink}>
          Copy link
        </Button>
        <Button size="xs" variant="default" onClick={() => onNarrow({ session: interaction.session_id })}>
          This session
        </Button>
        {interaction.prompt_hash && (
          <Button
            size="xs"
            variant="default"
            onClick={() => onNarrow({ promptHash: interaction.prompt_hash ?? undefined })}
          >
            This prompt
          </Button>
        )}
      </Group>
      {error && (
        <Alert color="red" title="It failed" role="note">
          {typeof error.message === 'string' ? error.message : JSON.stringify(error)}
        </Alert>
      )}
      {warnings.map((warning, index) => (
        <Alert key={index} color="yellow" role="note" py="xs">
          {typeof warning.message === 'string' ? warning.message : JSON.stringify(warning)}
        </Alert>
      ))}
      {/* In one row on a phone too. */}
      <Tabs defaultValue="messages" keepMounted={false} styles={{ tab: { paddingInline: 10 } }}>
        <Tabs.List mb="sm">
          <Tabs.Tab value="messages">Messages</Tabs.Tab>
          <Tabs.Tab value="scores">Scores and labels</Tabs.Tab>
          <Tabs.Tab value="facts">Details</Tabs.Tab>
          <Tabs.Tab value="raw">Raw</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="messages">
          <Messages interaction={interaction} />
        </Tabs.Panel>
        <Tabs.Panel value="scores">
          <Stack gap="lg">
            <InteractionScores project={project} interaction={interaction} />
            <GraderTry project={project} interaction={interaction} />
            <SessionOutcomes project={project} session={interaction.session_id} />
            <InteractionLabels project={project} interaction={interaction} />
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="facts">
          <InteractionFacts interaction={interaction} />
        </Tabs.Panel>
        <Tabs.Panel value="raw">
          <Text size="sm" c="dimmed" mb="xs">
            The interaction as it is stored: messages as they were sent, parameters as they were applied.
          </Text>
          <CodeBlock code={JSON.stringify(interaction, null, 2)} label="JSON" />
        </Tabs.Panel>
      </Tabs>
    </Stack>
  );
}
