import { ActionIcon, Button, Checkbox, Group, Select, Stack, Table, Text } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { rolesQuery, teamsQuery } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { tell } from '../components/tell';
import { Unread } from '../components/Unread';
import { useMay } from '../shell/useProject';
import { type Share, sharesQuery } from './queries';

/** Which teams see the project, and how much they may do in it. */
export function SharesTab({ project }: { project: string }) {
  const query = useQuery(sharesQuery(project));
  return (
    <Loaded query={query} failed="Shares could not be read">
      {(shares) => <Shares key={JSON.stringify(shares)} project={project} saved={shares} />}
    </Loaded>
  );
}

function Shares({ project, saved }: { project: string; saved: Share[] }) {
  const client = useQueryClient();
  const mayShare = useMay('project:share');
  const roles = useQuery(rolesQuery);
  const teams = useQuery(teamsQuery);
  const [shares, setShares] = useState(saved);
  const save = useMutation({
    mutationFn: () =>
      body(api.PUT('/api/v1/projects/{project}/shares', { params: { path: { project } }, body: { shares } })),
    onSuccess: async () => {
      tell('The shares are saved');
      await client.invalidateQueries({ queryKey: sharesQuery(project).queryKey });
    },
  });
  const change = (team: string, update: Partial<Share>) =>
    setShares(shares.map((share) => (share.team === team ? { ...share, ...update } : share)));
  const others = teams.data?.filter((team) => !shares.some((share) => share.team === team.key));
  const names = roles.data?.map((role) => ({ value: role.key, label: role.name }));
  return (
    <Stack maw={760}>
      <Text size="sm" c="dimmed">
        Members may do what their role in the team and the role here both permit. In a team that owns the
        project, their own role alone counts.
      </Text>
      <DataTable label="Shares" head={['Team', 'Role', 'Owns it', '']}>
        {shares.map((share) => (
          <Table.Tr key={share.team}>
            <Table.Td>{share.team}</Table.Td>
            <Table.Td miw={160}>
              {mayShare ? (
                <Select
                  size="xs"
                  aria-label={`Role of ${share.team}`}
                  allowDeselect={false}
                  data={names ?? [share.role]}
                  value={share.role}
                  onChange={(role) => change(share.team, { role: role! })}
                />
              ) : (
                share.role
              )}
            </Table.Td>
            <Table.Td>
              <Checkbox
                aria-label={`${share.team} owns the project`}
                disabled={!mayShare}
                checked={share.is_owner ?? false}
                onChange={(event) => change(share.team, { is_owner: event.currentTarget.checked })}
              />
            </Table.Td>
            <Table.Td>
              {mayShare && (
                <ActionIcon
                  variant="subtle"
                  color="red"
                  aria-label={`Remove ${share.team}`}
                  onClick={() => setShares(shares.filter(({ team }) => team !== share.team))}
                >
                  <IconTrash size={16} />
                </ActionIcon>
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </DataTable>
      {mayShare && (
        <>
          <Select
            w={280}
            size="xs"
            label="Share with another team"
            placeholder={others?.length === 0 ? 'There is no other team' : 'Choose a team'}
            disabled={!others?.length}
            data={others?.map((team) => ({ value: team.key, label: team.name }))}
            value={null}
            onChange={(team) => team && setShares([...shares, { team, role: 'read-only', is_owner: false }])}
          />
          <Unread queries={{ Teams: teams, Roles: roles }} />
          {save.error && <ErrorNotice error={save.error} title="The shares were not saved" />}
          <Group>
            <Button
              loading={save.isPending}
              disabled={JSON.stringify(shares) === JSON.stringify(saved)}
              onClick={() => save.mutate()}
            >
              Save shares
            </Button>
          </Group>
        </>
      )}
    </Stack>
  );
}
