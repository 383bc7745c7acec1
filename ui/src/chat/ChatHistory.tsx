import { ActionIcon, Button, Menu, Text } from '@mantine/core';
import { IconDots, IconTrash } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useRouterState } from '@tanstack/react-router';
import { useState } from 'react';
import { queryClient } from '../api/queries';
import { useMe } from '../shell/useProject';
import classes from './ChatHistory.module.css';
import { chatsQuery, deleteChat } from './storage';
import { useChat } from './store';

const MOST_CHATS = 50;

/** The chats that this browser had with the project, newest first. */
export function ChatHistory({ project }: { project: string }) {
  const me = useMe();
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const { data: chats = [] } = useQuery(chatsQuery(me.key, project));
  const [most, setMost] = useState(MOST_CHATS);
  const remove = async (id: string) => {
    useChat.getState().forget(id);
    await deleteChat(id);
    await queryClient.invalidateQueries({ queryKey: ['chats'] });
    if (path.endsWith(id)) void navigate({ to: '/projects/$project/chat', params: { project } });
  };
  return (
    <nav aria-label="Chats">
      <div className={classes.head}>
        <Text size="xs" fw={600} c="dimmed">
          Chats in this browser
        </Text>
        <Link to="/projects/$project/chat" params={{ project }} className={classes.new}>
          New chat
        </Link>
      </div>
      {chats.length === 0 && (
        <Text size="xs" c="dimmed" px={10}>
          What you ask is listed here.
        </Text>
      )}
      {chats.slice(0, most).map(({ id, title }) => (
        <div key={id} className={classes.chat} data-active={path.endsWith(id) || undefined}>
          <Link to="/projects/$project/chat/$chat" params={{ project, chat: id }} className={classes.title}>
            {title}
          </Link>
          <Menu position="bottom-end" shadow="md">
            <Menu.Target>
              <ActionIcon
                className={classes.more}
                variant="subtle"
                color="gray"
                size="sm"
                aria-label={`More about ${title}`}
              >
                <IconDots size={15} />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item color="red" leftSection={<IconTrash size={15} />} onClick={() => remove(id)}>
                Delete from this browser
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </div>
      ))}
      {chats.length > most && (
        <Button variant="subtle" size="compact-xs" fullWidth onClick={() => setMost(most + 5 * MOST_CHATS)}>
          Show older ones
        </Button>
      )}
    </nav>
  );
}
