import { ActionIcon, Button, Group, Modal, Select, Stack, Text } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { rolesQuery, teamsQuery } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { Unread } from '../components/Unread';
import { type User, usersQuery } from './queries';

/** The teams of a user and their roles there. Each change counts at once. */
export function MembershipsDialog({ user, onClose }: { user?: User; onClose: () => void }) {
  const client = useQueryClient();
  const teams = useQuery({ ...teamsQuery, enabled: user !== undefined });
  const roles = useQuery({ ...rolesQuery, enabled: user !== undefined });
  const [team, setTeam] = useState<string | null>(null);
  const [role, setRole] = useState('annotator');
  const change = useMutation({
    mutationFn: (wanted: { team: string; role: string | null }) => {
      const params = { path: { user: user!.id, team: wanted.team } };
      return wanted.role === null
        ? body(api.DELETE('/api/v1/users/{user}/teams/{team}', { params }))
        : body(api.PUT('/api/v1/users/{user}/teams/{team}', { params, body: { role: wanted.role } }));
    },
    onSuccess: async () => {
      setTeam(null);
      await client.invalidateQueries({ queryKey: usersQuery.queryKey });
    },
  });
  const names = roles.data?.map((found) => ({ value: found.key, label: found.name }));
  const others = teams.data?.filter((found) => !user?.teams.some((place) => place.team === found.key));
  const close = () => {
    change.reset();
    onClose();
  };
  return (
    <Modal opened={user !== undefined} onClose={close} title={`Teams of ${user?.name ?? ''}`}>
      <Stack>
        {user?.teams.length === 0 && (
          <Text size="sm" c="dimmed">
            In no team, and so they see no project.
          </Text>
        )}
        {user?.teams.map((place) => (
          <Group key={place.team} wrap="nowrap">
            <Text size="sm" flex={1} className="truncate">
              {place.team}
            </Text>
            <Select
              size="xs"
              aria-label={`Role in ${place.team}`}
              allowDeselect={false}
              data={names ?? [place.role]}
              value={place.role}
              onChange={(next) => change.mutate({ team: place.team, role: next })}
            />
            <ActionIcon
              variant="subtle"
              color="red"
              aria-label={`Take out of ${place.team}`}
              onClick={() => change.mutate({ team: place.team, role: null })}
            >
              <IconTrash size={16} />
            </ActionIcon>
          </Group>
        ))}
        <Group align="flex-end" wrap="nowrap">
          <Select
            flex={1}
            size="xs"
            label="Another team"
            data={others?.map((found) => ({ value: found.key, label: found.name }))}
            value={team}
            onChange={setTeam}
          />
          <Select
            flex={1}
            size="xs"
            label="Role"
            allowDeselect={false}
            data={names ?? [role]}
            value={role}
            onChange={(next) => setRole(next!)}
          />
          <Button
            size="xs"
            disabled={!team}
            loading={change.isPending}
            onClick={() => change.mutate({ team: team!, role })}
          >
            Add
          </Button>
        </Group>
        <Unread queries={{ Teams: teams, Roles: roles }} />
        {change.error && <ErrorNotice error={change.error} />}
      </Stack>
    </Modal>
  );
}
